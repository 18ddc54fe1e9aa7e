"""The record of a version: its manifest and the bytes of its files, which are verified when they are read.

A version that is being published and one that lies in a store differ only in where the bytes come from.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from weakref import WeakValueDictionary

from models.errors import ArtifactDamaged
from models.golden import GOLDEN, GoldenRows
from models.manifest import FileRecord, Manifest
from models.names import Version


class Contents(Mapping[str, bytes]):
    """The bytes of a version's files by path. They are not verified.

    A lookup raises KeyError for a file that does not exist and OSError for one that cannot be read.
    """

    @abstractmethod
    def size_bytes(self, path: str) -> int | None:
        """Return the size of a file without reading it; None if it is missing."""

    @abstractmethod
    def exists(self) -> bool:
        """Return whether the version can still be read at all."""


class InMemory(Contents):
    """The files of a version that is not in a store yet."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = dict(files)

    def __getitem__(self, path: str) -> bytes:
        return self._files[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __str__(self) -> str:
        return "memory"

    def size_bytes(self, path: str) -> int | None:
        """Return the length of the file's bytes; None if it is missing."""
        return len(self._files[path]) if path in self._files else None

    def exists(self) -> bool:
        """Return True: the files live as long as this object."""
        return True


@dataclass(frozen=True, slots=True, repr=False)
class Record:
    """One version: its manifest and its files."""

    #: What was recorded when the version was published. Its number is 0 until a store assigns one.
    manifest: Manifest
    #: The bytes of its files by path, not verified. ``read`` verifies them.
    files: Contents
    _golden: WeakValueDictionary[str, GoldenRows] = field(
        default_factory=WeakValueDictionary, init=False, repr=False, compare=False
    )

    @classmethod
    def draft(cls, manifest: Manifest, files: Mapping[str, bytes]) -> Record:
        """Return a version in memory whose manifest records exactly these files."""
        return cls(replace(manifest, files=file_records(files)), InMemory(files))

    def __repr__(self) -> str:
        """Return one line, as a prompt shows it after publishing."""
        return f"<{self.key} in {self.files}, {self.manifest.estimator}>"

    @property
    def key(self) -> Version:
        """The model's name and the version's number."""
        return self.manifest.key

    @property
    def golden(self) -> GoldenRows:
        """The golden rows, read and verified; raises ArtifactDamaged.

        They are cached only while a caller holds them. Golden rows of a wide table take megabytes, and a
        later load must notice that the file was damaged in the meantime.
        """
        golden = self._golden.get(GOLDEN)
        if golden is None:
            golden = GoldenRows.from_bytes(self.read(GOLDEN), self.manifest.signature)
            self._golden[GOLDEN] = golden
        return golden

    def read(self, path: str) -> bytes:
        """Return the bytes of a file after verifying their digest; raises ArtifactDamaged."""
        where = self._where(path)
        try:
            record = self.manifest.files[path]
            data = self.files[path]
        except (FileNotFoundError, KeyError) as error:
            raise ArtifactDamaged(f"{where} is missing from the store; publish it again") from error
        except OSError as error:
            raise ArtifactDamaged(f"{where} cannot be read ({error.strerror}); publish it again") from error
        return record.check(data, where)

    def check_sizes(self) -> None:
        """Verify that every recorded file exists in its recorded size; raises ArtifactDamaged. No file is
        read.
        """
        for path, record in self.manifest.files.items():
            size = self.files.size_bytes(path)
            if size is None:
                raise ArtifactDamaged(f"{self._where(path)} is missing; publish it again")
            if size != record.size_bytes:
                raise ArtifactDamaged(
                    f"{self._where(path)} has {size:,} bytes where {record.size_bytes:,} were published; "
                    "publish it again"
                )

    def exists(self) -> bool:
        """Return whether the version can still be read at all."""
        return self.files.exists()

    def with_files(self, files: Mapping[str, bytes]) -> Record:
        """Return a draft with these files added or replaced. Only their digests are computed."""
        records = {**self.manifest.files, **file_records(files)}
        return Record(replace(self.manifest, files=records), InMemory({**self.files, **files}))

    def _where(self, path: str) -> str:
        return f"{self.manifest.name}/{self.manifest.version}/{path}"


def file_records(files: Mapping[str, bytes]) -> dict[str, FileRecord]:
    """Return the manifest's record of each file."""
    return {path: FileRecord.of(content) for path, content in files.items()}


def same_version(one: Record | None, other: Record | None) -> bool:
    """Return whether both were published at the same moment with the same bytes.

    Comparing whole manifests takes long, and these two facts decide.
    """
    if one is None or other is None:
        return one is other
    return (one.manifest.published_at, one.manifest.files) == (
        other.manifest.published_at,
        other.manifest.files,
    )
