"""The record of a version: its manifest, and the bytes of its files, which are verified when they are read.

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
    """The bytes of a version's files by path, as they are: nothing is verified yet.

    Looking up a file raises KeyError for one that does not exist and OSError for one that cannot be read.
    """

    @abstractmethod
    def size_bytes(self, path: str) -> int | None:
        """The size of a file, found without reading it; None where it is missing."""

    @abstractmethod
    def exists(self) -> bool:
        """Whether the version can still be read at all."""


class InMemory(Contents):
    """The files of a version that no store has yet."""

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
        """The length of its bytes."""
        return len(self._files[path]) if path in self._files else None

    def exists(self) -> bool:
        """True: memory keeps it."""
        return True


@dataclass(frozen=True, slots=True, repr=False)
class Record:
    """One version.

    manifest: what was recorded when it was published; version 0 before a store has given it a number.
    files: its bytes, by path. Use ``read``, which verifies them.
    """

    manifest: Manifest
    files: Contents
    _golden: WeakValueDictionary[str, GoldenRows] = field(
        default_factory=WeakValueDictionary, init=False, repr=False, compare=False
    )

    @classmethod
    def draft(cls, manifest: Manifest, files: Mapping[str, bytes]) -> Record:
        """A version in memory, whose manifest records exactly these files."""
        return cls(replace(manifest, files=file_records(files)), InMemory(files))

    def __repr__(self) -> str:
        """One line, as at a prompt after publishing."""
        return f"<{self.key} in {self.files}, {self.manifest.estimator}>"

    @property
    def key(self) -> Version:
        """The name of its model and its number."""
        return self.manifest.key

    @property
    def golden(self) -> GoldenRows:
        """Its golden rows, read and verified once for as long as somebody holds them; raises ArtifactDamaged.

        They are not kept beyond that: golden rows of a wide table take megabytes, and a later load must
        notice that the file was damaged meanwhile.
        """
        golden = self._golden.get(GOLDEN)
        if golden is None:
            golden = GoldenRows.from_bytes(self.read(GOLDEN), self.manifest.signature)
            self._golden[GOLDEN] = golden
        return golden

    def read(self, path: str) -> bytes:
        """The bytes of a file, after they matched their recorded digest; raises ArtifactDamaged."""
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
        """Raises ArtifactDamaged where a recorded file is missing or has another size, without reading it."""
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
        """Whether the version can still be read at all."""
        return self.files.exists()

    def with_files(self, files: Mapping[str, bytes]) -> Record:
        """A draft with these files added or replaced. Only their digests are computed."""
        records = {**self.manifest.files, **file_records(files)}
        return Record(replace(self.manifest, files=records), InMemory({**self.files, **files}))

    def _where(self, path: str) -> str:
        return f"{self.manifest.name}/{self.manifest.version}/{path}"


def file_records(files: Mapping[str, bytes]) -> dict[str, FileRecord]:
    """What a manifest records about each file."""
    return {path: FileRecord.of(content) for path, content in files.items()}


def same_version(one: Record | None, other: Record | None) -> bool:
    """Whether both were published at the same moment with the same bytes. Manifests are long to compare."""
    if one is None or other is None:
        return one is other
    return (one.manifest.published_at, one.manifest.files) == (
        other.manifest.published_at,
        other.manifest.files,
    )
