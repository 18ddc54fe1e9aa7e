"""Changes to the disk. Every operation of the store is durable before it returns.

A test counts these operations and kills the publisher after each of them, so nothing in ``models/`` that is
part of a store may change a file in any other way.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.errors import StoreUnavailable


class Files:
    """Durable file operations. Each public method is one step, and a crash may follow each step."""

    def make_dir(self, path: Path) -> None:
        """Create the directory and its parents."""
        path.mkdir(parents=True, exist_ok=True)
        self._sync_dir(path.parent)

    def write(self, path: Path, data: bytes) -> None:
        """Write a new file and fsync it. Its name becomes durable when the directory is renamed."""
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def sync_tree(self, path: Path) -> None:
        """Make the names of all files below ``path`` durable."""
        for directory, _, _ in os.walk(path):
            self._sync_dir(Path(directory))

    def rename(self, source: Path, target: Path) -> None:
        """Move a directory to a name that does not exist yet; raises FileExistsError or OSError
        (ENOTEMPTY).
        """
        if target.exists():
            raise FileExistsError(f"{target} exists")
        os.rename(source, target)
        self._sync_dir(target.parent)

    def replace(self, path: Path, data: bytes) -> None:
        """Replace the content of a small file. Readers see the old bytes or the new ones, never a mixture.

        The caller holds the lock: there is only one temporary name, so that the next call reuses what a crash
        left.
        """
        temporary = path.with_name(f".{path.name}.tmp")
        self.write(temporary, data)
        os.replace(temporary, path)
        self._sync_dir(path.parent)

    def append_line(self, path: Path, line: bytes) -> None:
        """Append a line. A line that a crash cut short is ended first, so that only that line is lost."""
        with open(path, "a+b") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    line = b"\n" + line
            file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def remove_tree(self, path: Path) -> None:
        """Delete a directory that readers no longer use."""
        shutil.rmtree(path, ignore_errors=True)

    def remove_file(self, path: Path) -> None:
        """Delete a file if it exists."""
        path.unlink(missing_ok=True)

    @contextmanager
    def locked(self, path: Path, *, wait: bool = True) -> Iterator[bool]:
        """Hold an exclusive flock on ``path``, which is created if missing.

        Yields False if another process holds it and ``wait`` is off. The kernel releases the lock when the
        process dies, so no lock outlives its owner.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(descriptor)

    def _sync_dir(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Return whether a process holds the flock on ``path`` now; raises StoreUnavailable. Nothing is
    created.
    """
    with store_errors(path.parent):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False


def read_if_there(path: Path) -> bytes | None:
    """Return the bytes of a small file of a store; None if it does not exist. Raises StoreUnavailable."""
    with store_errors(path.parent):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None


@contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Turn errors of the operating system below ``path`` into StoreUnavailable."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StoreUnavailable(
            f"the store {path} cannot be used: {error.filename or path}: {reason}"
        ) from error
