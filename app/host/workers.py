"""The workers of one host: which of them live, and what each of them serves.

A worker holds a slot of the run directory, a file lock that the kernel frees when the worker dies. Next to it
the worker writes a small file about what it serves. A process that changes the store waits until every living
worker has written the generation of the change, and can name those that have not.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson

DIRECTORY = "workers"
POLL_SECONDS = 0.02

#: Descriptors whose locks stand for this process. Child processes close them, so as not to hold the locks.
_kept: set[int] = set()


# -- locks and slots -----------------------------------------------------------------------------------------


def try_lock(path: Path, kind: int = fcntl.LOCK_EX) -> int | None:
    """Return a descriptor that holds the lock of a file, or None if another process holds it.

    A shared lock (``kind`` is ``fcntl.LOCK_SH``) is enough to see whether the file is locked.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def keep(descriptor: int) -> int:
    """Register a descriptor, and with it its lock, as one of this process and of none that it forks."""
    _kept.add(descriptor)
    return descriptor


def let_go(descriptor: int) -> None:
    """Close a registered descriptor."""
    _kept.discard(descriptor)
    os.close(descriptor)


def _forget() -> None:
    for descriptor in list(_kept):
        let_go(descriptor)


os.register_at_fork(after_in_child=_forget)


@dataclass(slots=True)
class Slot:
    """A slot that this process holds until ``release`` or until it ends."""

    run_dir: Path
    number: int
    #: The open lock file.
    descriptor: int

    def release(self) -> None:
        """Free the slot."""
        let_go(self.descriptor)


def claim_slot(run_dir: Path) -> Slot:
    """Claim the lowest slot that no living process holds, and delete the files of its last owner."""
    number = 0
    while True:
        descriptor = try_lock(run_dir / f"slot-{number}.lock")
        if descriptor is not None:
            # Immediately, because other processes trust these files as soon as the slot is held.
            (run_dir / DIRECTORY / f"{number}.json").unlink(missing_ok=True)
            for file in run_dir.glob(f"gauge_*_{number}.db"):
                file.unlink(missing_ok=True)
            return Slot(run_dir, number, keep(descriptor))
        number += 1


def held_slots(run_dir: Path) -> set[int]:
    """Return the numbers of the slots that living workers hold."""
    held = set()
    for file in run_dir.glob("slot-*.lock"):
        descriptor = try_lock(file, fcntl.LOCK_SH)
        if descriptor is None:
            held.add(int(file.stem.removeprefix("slot-")))
        else:
            os.close(descriptor)
    return held


# -- what each worker serves ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WorkerState:
    """The last report of a worker. Only the slot is set before its first report."""

    slot: int
    pid: int = 0
    #: Unix time at which the worker began.
    started: float = 0.0
    #: Unix time of this report.
    seen: float = 0.0
    #: The generation of the store that the worker serves; empty before it serves one.
    generation: str = ""
    #: The versions that the worker cannot serve (``name:version``), with the reasons.
    faults: Mapping[str, str] = field(default_factory=dict)
    #: The versions that the worker has still to load (``name:version``).
    coming: Collection[str] = ()


class WorkerFile:
    """The file in which this worker reports. It is replaced as a whole, so that readers never see a part."""

    def __init__(self, slot: Slot, clock: Callable[[], float] = time.time) -> None:
        """Take the slot of this worker, and a clock that returns Unix time in seconds."""
        self._slot = slot
        self._clock = clock
        self._started = clock()

    @property
    def path(self) -> Path:
        """The path of the file."""
        return self._slot.run_dir / DIRECTORY / f"{self._slot.number}.json"

    def write(self, generation: str, faults: Mapping[str, str], coming: Collection[str] = ()) -> None:
        """Report what this worker serves, and that it lives. Raises OSError without a run directory."""
        state = WorkerState(
            self._slot.number,
            os.getpid(),
            self._started,
            self._clock(),
            generation,
            dict(faults),
            list(coming),
        )
        self.path.parent.mkdir(mode=0o700, exist_ok=True)
        staged = self.path.with_suffix(".tmp")
        staged.write_bytes(orjson.dumps(asdict(state)))
        staged.replace(self.path)


def living_workers(run_dir: Path) -> list[WorkerState]:
    """Return the last report of every living worker of the run directory's server, ordered by slot."""
    states = []
    for number in sorted(held_slots(run_dir)) if run_dir.is_dir() else ():
        try:
            state = WorkerState(**orjson.loads((run_dir / DIRECTORY / f"{number}.json").read_bytes()))
        except (OSError, ValueError, TypeError):
            state = WorkerState(number)
        states.append(state)
    return states


def wait_for_workers(
    run_dir: Path,
    generation: str,
    versions: Collection[str],
    seconds: float,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> tuple[list[WorkerState], list[WorkerState]]:
    """Wait until every living worker serves the generation or a later one, for at most ``seconds``.

    A worker must also have tried the versions (``name:version``), or all that it has to load where none are
    given. A worker that dies meanwhile is not waited for, because its successor reads the store itself.

    Returns the workers that follow, and the missing ones.
    """
    until = now() + seconds
    while True:
        states = living_workers(run_dir)
        missing = [state for state in states if not _follows(state, generation, versions)]
        if not missing or now() >= until:
            return [state for state in states if state not in missing], missing
        sleep(POLL_SECONDS)


def _follows(state: WorkerState, generation: str, versions: Collection[str]) -> bool:
    if not state.generation.isdigit() or int(state.generation) < int(generation):
        return False
    return not (set(versions).intersection(state.coming) if versions else state.coming)
