"""How one version is read from the disk: its manifest first, then only bytes that the manifest records."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.errors import ArtifactDamaged
from models.manifest import MANIFEST, MANIFEST_SIGNATURE, Manifest, check_signature

MAX_MANIFEST_BYTES = 8 * 2**20
MAX_SIGNATURE_BYTES = 1024


@dataclass(frozen=True, slots=True, repr=False)
class StoredVersion:
    """One whole version in the store: an Artifact."""

    path: Path
    manifest: Manifest

    def __repr__(self) -> str:
        """In a line, as at a prompt after publishing."""
        return f"<{self.manifest.name}:{self.manifest.version} in {self.path}, {self.manifest.estimator}>"

    def read(self, path: str) -> bytes:
        """The bytes of a file, after they matched their recorded digest; raises ArtifactDamaged."""
        where = f"{self.manifest.name}/{self.manifest.version}/{path}"
        try:
            record = self.manifest.files[path]
            data = _read(self.path / path, record.size_bytes)
        except (FileNotFoundError, KeyError) as error:
            raise ArtifactDamaged(f"{where} is missing from the store; publish it again") from error
        except OSError as error:
            raise ArtifactDamaged(f"{where} cannot be read ({error.strerror}); publish it again") from error
        return record.check(data, where)


#: By directory, what was read and of which files.
Known = dict[Path, tuple[Any, StoredVersion]]


def read_version(path: Path, name: str, version: int, key: bytes | None, known: Known) -> StoredVersion:
    """The version in the directory ``path``, which must be that version of that model, and signed if there is a key.

    What is ``known`` is not read again while its files are the same: a server looks at all versions after each change.
    Raises OSError when its files cannot be read, ArtifactDamaged or ArtifactUnsigned.
    """
    files = [_identity(path / file) for file in (MANIFEST, MANIFEST_SIGNATURE)]
    if path in known and known[path][0] == files:
        return known[path][1]
    where = f"{name}/{version}/{MANIFEST}"
    raw = _read(path / MANIFEST, MAX_MANIFEST_BYTES)
    if len(raw) > MAX_MANIFEST_BYTES:
        raise ArtifactDamaged(f"{where} is larger than {MAX_MANIFEST_BYTES} bytes; publish the version again")
    if key is not None:
        signed = (path / MANIFEST_SIGNATURE).exists()
        check_signature(
            raw, _read(path / MANIFEST_SIGNATURE, MAX_SIGNATURE_BYTES) if signed else b"", key, where
        )
    manifest = Manifest.from_bytes(raw, where)
    if (manifest.name, manifest.version) != (name, version):
        raise ArtifactDamaged(
            f"{where} belongs to {manifest.name}:{manifest.version}; publish the version again"
        )
    known[path] = files, StoredVersion(path, manifest)
    return known[path][1]


def check_sizes(stored: StoredVersion) -> None:
    """Raises ArtifactDamaged where a recorded file is missing or of another size: what can be seen without reading it."""
    for name, record in stored.manifest.files.items():
        found = _identity(stored.path / name)
        if found is None or found[1] != record.size_bytes:
            where = f"{stored.manifest.name}/{stored.manifest.version}/{name}"
            has = (
                "is missing"
                if found is None
                else f"has {found[1]:,} bytes where {record.size_bytes:,} were published"
            )
            raise ArtifactDamaged(f"{where} {has}; publish it again")


def _identity(path: Path) -> tuple[int, int, int] | None:
    """What differs once the file is another, or None for one that cannot be looked at."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _read(path: Path, expected_bytes: int) -> bytes:
    """The file's bytes, never through a link, and of a larger file one byte more than expected; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(expected_bytes + 1)


def same_version(one: StoredVersion | None, other: StoredVersion | None) -> bool:
    """Whether both were published at the same moment with the same bytes: manifests are long to compare."""
    if one is None or other is None:
        return one is other
    return (one.manifest.published_at, one.manifest.files) == (
        other.manifest.published_at,
        other.manifest.files,
    )
