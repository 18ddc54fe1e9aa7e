"""The one place where the store changes a disk: every operation is durable before it returns.

A test counts these operations and kills the publisher after each of them, so nothing in ``models/`` that is
part of a store may change a file any other way.
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
    """Durable file operations. Each public method is one step that a crash can come after."""

    def make_dir(self, path: Path) -> None:
        """Create the directory and its parents, if they are missing."""
        path.mkdir(parents=True, exist_ok=True)
        self._sync_dir(path.parent)

    def write(self, path: Path, data: bytes) -> None:
        """Write a new file and fsync it; the name is durable after the directory's rename."""
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def sync_tree(self, path: Path) -> None:
        """Make the names of every file below ``path`` durable."""
        for directory, _, _ in os.walk(path):
            self._sync_dir(Path(directory))

    def rename(self, source: Path, target: Path) -> None:
        """Move a directory to a name that must not exist; raises FileExistsError or OSError (ENOTEMPTY)."""
        if target.exists():
            raise FileExistsError(f"{target} exists")
        os.rename(source, target)
        self._sync_dir(target.parent)

    def replace(self, path: Path, data: bytes) -> None:
        """Give a small file new content: readers see the old bytes or the new ones, never a mixture.

        Only under a lock: there is one temporary name, so that what a crash leaves there is used up by the
            next.
        """
        temporary = path.with_name(f".{path.name}.tmp")
        self.write(temporary, data)
        os.replace(temporary, path)
        self._sync_dir(path.parent)

    def append_line(self, path: Path, line: bytes) -> None:
        """Add one line. A line that a crash cut short is ended first, so that it spoils only itself."""
        with open(path, "a+b") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    line = b"\n" + line
            file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def remove_tree(self, path: Path) -> None:
        """Delete a directory that no reader looks into any more."""
        shutil.rmtree(path, ignore_errors=True)

    def remove_file(self, path: Path) -> None:
        """Delete a file that may be gone already."""
        path.unlink(missing_ok=True)

    @contextmanager
    def locked(self, path: Path, *, wait: bool = True) -> Iterator[bool]:
        """Hold an exclusive flock on ``path`` (created if missing); yields False if it is held and ``wait``
        is off.

        The kernel frees the lock when the process dies, so no lock outlives its owner.
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
    """Whether a process holds the flock on ``path`` at this moment; raises StoreUnavailable. Nothing is
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
    """The bytes of a small file of a store, or None when it does not exist; raises StoreUnavailable."""
    with store_errors(path.parent):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None


@contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals below ``path`` into StoreUnavailable."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StoreUnavailable(
            f"the store {path} cannot be used: {error.filename or path}: {reason}"
        ) from error
