"""Which worker is which: each claims the lowest free slot of the run directory, and the kernel frees it at its death."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


class RunDirError(Exception):
    """The run directory cannot be used safely; the message says why, in one line."""


#: The descriptors of the slots that this process holds. What it forks is no worker, and must not hold one for it.
_held: set[int] = set()


def _let_go() -> None:
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)


@dataclass(slots=True)
class Slot:
    """A claimed slot; ``release`` or the end of the process gives it back."""

    run_dir: Path
    number: int
    descriptor: int

    def release(self) -> None:
        """Give the slot back."""
        _held.discard(self.descriptor)
        os.close(self.descriptor)


def default_run_dir(address: str, store: Path) -> Path:
    """A directory in memory that the server at this address, of this store, finds again, and no other of this user."""
    memory = Path("/dev/shm")
    base = memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
    server = f"{address} {store.absolute()}"
    return base / f"plumbline-{os.geteuid()}-{hashlib.sha256(server.encode()).hexdigest()[:12]}"


def make_run_dir(path: Path) -> Path:
    """Create the directory for this user alone; raises RunDirError when somebody else's stands there."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = path.lstat()
    except OSError as error:
        raise RunDirError(
            f"the run directory {path} cannot be made ({error.strerror}); set PLUMBLINE_RUN_DIR"
        ) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise RunDirError(
            f"the run directory {path} belongs to somebody else; set PLUMBLINE_RUN_DIR to another"
        )
    return path


def claim_slot(run_dir: Path) -> Slot:
    """The lowest slot that no living process holds. What its last owner said of itself is deleted."""
    number = 0
    while True:
        descriptor = try_lock(run_dir / f"slot-{number}.lock")
        if descriptor is not None:
            _held.add(descriptor)
            # At once: from the moment that the slot is held it is believed.
            (run_dir / "workers" / f"{number}.json").unlink(missing_ok=True)
            for file in run_dir.glob(f"gauge_*_{number}.db"):
                file.unlink(missing_ok=True)
            return Slot(run_dir, number, descriptor)
        number += 1


def held_slots(run_dir: Path) -> set[int]:
    """The slots of living workers."""
    held = set()
    for file in run_dir.glob("slot-*.lock"):
        descriptor = try_lock(file, fcntl.LOCK_SH)
        if descriptor is None:
            held.add(int(file.stem.removeprefix("slot-")))
        else:
            os.close(descriptor)
    return held


def sweep(run_dir: Path) -> None:
    """Delete the metrics and proofs of an earlier server, unless one of its workers still lives."""
    if not held_slots(run_dir):
        for file in (*run_dir.glob("*.db"), *run_dir.glob("proofs/*")):
            file.unlink(missing_ok=True)


def remove_run_dir(run_dir: Path) -> None:
    """Delete the directory, unless a worker still lives or somebody else keeps files there."""
    if not held_slots(run_dir):
        for file in (
            *run_dir.glob("*.db"),
            *run_dir.glob("slot-*.lock"),
            *run_dir.glob("workers/*"),
            *run_dir.glob("proofs/*"),
        ):
            file.unlink(missing_ok=True)
        for directory in (run_dir / "workers", run_dir / "proofs", run_dir):
            with suppress(OSError):
                directory.rmdir()


def try_lock(path: Path, kind: int = fcntl.LOCK_EX) -> int | None:
    """A descriptor that holds the lock, or None when another process does. A shared one is enough to look."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
