"""Which worker is which: each claims the lowest free slot of the run directory, and the kernel frees it at its death."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

#: Descriptors of locks that stand for this process. What it forks must not hold them for it.
_kept: set[int] = set()


def keep(descriptor: int) -> int:
    """Hold an open file, and with it its lock, in this process and in none that it forks."""
    _kept.add(descriptor)
    return descriptor


def let_go(descriptor: int) -> None:
    """Close a file that was kept."""
    _kept.discard(descriptor)
    os.close(descriptor)


def _forget() -> None:
    for descriptor in list(_kept):
        let_go(descriptor)


os.register_at_fork(after_in_child=_forget)


@dataclass(slots=True)
class Slot:
    """A claimed slot; ``release`` or the end of the process gives it back."""

    run_dir: Path
    number: int
    descriptor: int

    def release(self) -> None:
        """Give the slot back."""
        let_go(self.descriptor)


def claim_slot(run_dir: Path) -> Slot:
    """The lowest slot that no living process holds. What its last owner said of itself is deleted."""
    number = 0
    while True:
        descriptor = try_lock(run_dir / f"slot-{number}.lock")
        if descriptor is not None:
            # At once: from the moment that the slot is held it is believed.
            (run_dir / "workers" / f"{number}.json").unlink(missing_ok=True)
            for file in run_dir.glob(f"gauge_*_{number}.db"):
                file.unlink(missing_ok=True)
            return Slot(run_dir, number, keep(descriptor))
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


def try_lock(path: Path, kind: int = fcntl.LOCK_EX) -> int | None:
    """A descriptor that holds the lock, or None when another process does. A shared one is enough to look."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
