"""The files of a store's versions: written once under a number, and verified against their digests on each
read.

    <store>/<name>/<version>/             manifest.json, its signature, and the files that it records
    <store>/<name>/.staging-*             a version that is being written or deleted

This module does not know which version is stable or who changed what; the registry does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from models.errors import ArtifactDamaged
from models.manifest import MANIFEST, MANIFEST_SIGNATURE, Manifest, check_signature, sign
from models.names import Version, check_model_name, version_number
from models.record import Contents, Record
from models.store.files import Files, store_errors

MAX_MANIFEST_BYTES = 8 * 2**20
MAX_SIGNATURE_BYTES = 1024

STAGING = ".staging-"


class Directory(Contents):
    """The files of a version in a store.

    ``sizes_bytes`` holds the recorded size of each file. Of a longer file, only one byte more is read, which
    is enough to notice.
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
        """Return the size of the file itself, without following links; None if it is missing."""
        identity = _identity(self._path / path)
        return None if identity is None else identity[1]

    def exists(self) -> bool:
        """Return whether the manifest still exists."""
        return (self._path / MANIFEST).exists()


class Artifacts:
    """The records of all versions of a store.

    With a ``key``, manifests carry an HMAC, and a version without a valid one is not read.
    """

    def __init__(self, path: Path, key: bytes | None, files: Files) -> None:
        self._path = path
        self._key = key
        self._files = files
        #: Key of a version -> the identity of the files that were read, and the record. It is a cache because
        #: a server looks at all versions after each change.
        self._known: dict[Version, tuple[Any, Record]] = {}

    def names(self) -> list[str]:
        """Return the names of the directories that may be models; raises OSError."""
        if not self._path.exists():
            return []
        return [p.name for p in self._path.iterdir() if re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", p.name)]

    def numbers(self, name: str) -> list[int]:
        """Return the version numbers of a model, ascending; empty for an unknown model. Raises
        StoreUnavailable.
        """
        with store_errors(self._path):
            try:
                entries = list((self._path / name).iterdir())
            except (FileNotFoundError, NotADirectoryError):
                return []
        return sorted(n for e in entries if (n := version_number(e.name)) is not None and e.is_dir())

    def has(self, version: Version) -> bool:
        """Return whether the version exists, readable or not."""
        return self._directory(version).is_dir()

    def get(self, version: Version) -> Record:
        """Return the record of a version. It is cached until its files change.

        Raises OSError if its files cannot be read, ArtifactDamaged or ArtifactUnsigned.
        """
        path = self._directory(version)
        files = [_identity(path / file) for file in (MANIFEST, MANIFEST_SIGNATURE)]
        if version in self._known and self._known[version][0] == files:
            return self._known[version][1]
        where = f"{version.name}/{version.number}/{MANIFEST}"
        raw = _read(path / MANIFEST, MAX_MANIFEST_BYTES)
        if len(raw) > MAX_MANIFEST_BYTES:
            raise ArtifactDamaged(
                f"{where} is larger than {MAX_MANIFEST_BYTES} bytes; publish the version again"
            )
        if self._key is not None:
            signed = (path / MANIFEST_SIGNATURE).exists()
            signature = _read(path / MANIFEST_SIGNATURE, MAX_SIGNATURE_BYTES) if signed else b""
            check_signature(raw, signature, self._key, where)
        manifest = Manifest.from_bytes(raw, where)
        if manifest.key != version:
            raise ArtifactDamaged(f"{where} belongs to {manifest.key}; publish the version again")
        self._known[version] = files, self._record(manifest)
        return self._known[version][1]

    def sealed_manifest(self, version: Version) -> dict[str, bytes]:
        """Return the manifest as it was written, and its signature if it has one, by file name.

        Raises OSError.
        """
        files = (self._directory(version) / file for file in (MANIFEST, MANIFEST_SIGNATURE))
        return {file.name: file.read_bytes() for file in files if file.exists()}

    @contextmanager
    def staged(self, name: str, files: Mapping[str, bytes]) -> Iterator[Staged]:
        """Write the files of a version that has no number yet, durably. They are removed unless they are
        ``kept``.

        Leftovers of other publishers are removed before the first write and at the end, also if the disk was
        full.
        """
        self._collect_leftovers()
        self._files.make_dir(self._path / name)
        staging = self._path / name / f"{STAGING}{os.getpid()}-{os.urandom(4).hex()}"
        try:
            # The lock lasts as long as the publisher lives.
            with self._files.locked(staging.with_name(f"{staging.name}.lock")):
                for path, data in files.items():
                    self._files.write(staging / path, data)
                yield Staged(self, staging)
        finally:
            self._collect_leftovers()

    def remove(self, version: Version) -> None:
        """Rename a version out of sight, and then delete it, because deleting takes more than one step."""
        path = self._directory(version)
        deleted = path.with_name(f"{STAGING}deleted-{path.name}-{os.urandom(4).hex()}")
        self._files.rename(path, deleted)
        self._files.remove_tree(deleted)

    def _directory(self, version: Version) -> Path:
        return self._path / check_model_name(version.name) / str(version.number)

    def _record(self, manifest: Manifest) -> Record:
        sizes_bytes = {path: file.size_bytes for path, file in manifest.files.items()}
        return Record(manifest, Directory(self._directory(manifest.key), sizes_bytes))

    def _collect_leftovers(self) -> None:
        """Remove what crashed publishers of any model left behind: nobody holds their locks."""
        for lock in self._path.glob(f"*/{STAGING}*.lock"):
            with self._files.locked(lock, wait=False) as free:
                if free:
                    self._files.remove_tree(lock.with_suffix(""))
                    self._files.remove_file(lock)
        for deleted in self._path.glob(f"*/{STAGING}deleted-*"):
            self._files.remove_tree(deleted)


class Staged:
    """The files of a version that is about to get its number."""

    def __init__(self, artifacts: Artifacts, path: Path) -> None:
        self._artifacts = artifacts
        self._path = path

    def seal(self, manifest: Manifest) -> None:
        """Write the manifest, and its signature if the store has a key, and make all names durable."""
        files, key = self._artifacts._files, self._artifacts._key
        raw = manifest.to_bytes()
        files.write(self._path / MANIFEST, raw)
        if key is not None:
            files.write(self._path / MANIFEST_SIGNATURE, sign(raw, key))
        files.sync_tree(self._path)

    def keep(self, manifest: Manifest) -> Record:
        """Move the sealed files to the number of the manifest. This makes them a version."""
        record = self._artifacts._record(manifest)
        self._artifacts._files.rename(self._path, self._artifacts._directory(manifest.key))
        return record


def _identity(path: Path) -> tuple[int, int, int] | None:
    """Return inode, size and modification time, which change with the file; None if it cannot be examined."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _read(path: Path, expected_bytes: int) -> bytes:
    """Return the bytes of a file, at most one more than expected, without following links; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(expected_bytes + 1)
