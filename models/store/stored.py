"""How one version is read from the disk: its manifest first, then only bytes that the manifest records."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from models.errors import ArtifactDamaged
from models.manifest import MANIFEST, MANIFEST_SIGNATURE, Manifest, check_signature
from models.record import Contents, Record

MAX_MANIFEST_BYTES = 8 * 2**20
MAX_SIGNATURE_BYTES = 1024


class Directory(Contents):
    """The files of a version in a store.

    sizes_bytes: the recorded size of each file. Of a longer file one byte more is read, which is enough to see it.
    """

    def __init__(self, path: Path, sizes_bytes: Mapping[str, int]) -> None:
        self._path = path
        self._sizes_bytes = sizes_bytes

    def __getitem__(self, path: str) -> bytes:
        return _read(self._path / path, self._sizes_bytes[path])

    def __iter__(self) -> Iterator[str]:
        return iter(self._sizes_bytes)

    def __len__(self) -> int:
        return len(self._sizes_bytes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Directory) and self._path == other._path

    def __str__(self) -> str:
        return str(self._path)

    def size_bytes(self, path: str) -> int | None:
        """The size of the file itself, which a link does not have."""
        identity = _identity(self._path / path)
        return None if identity is None else identity[1]

    def exists(self) -> bool:
        """Whether its manifest is still there."""
        return (self._path / MANIFEST).exists()


def stored(path: Path, manifest: Manifest) -> Record:
    """The version in a directory of the store."""
    return Record(manifest, Directory(path, {name: file.size_bytes for name, file in manifest.files.items()}))


#: By directory, what was read and of which files.
Known = dict[Path, tuple[Any, Record]]


def read_version(path: Path, name: str, version: int, key: bytes | None, known: Known) -> Record:
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
        raise ArtifactDamaged(f"{where} belongs to {manifest.key}; publish the version again")
    known[path] = files, stored(path, manifest)
    return known[path][1]


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
