"""Which workers this host runs, and what each of them serves: a small file by each, in the run directory in memory.

A worker is alive as long as it holds its slot, which the kernel frees at its death. Whoever changes the store waits until
every living worker has written the generation of the change, and can name those that have not.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson

from app.host.slots import Slot, held_slots

DIRECTORY = "workers"
POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class WorkerState:
    """What a worker said last. ``generation`` : of the store that it serves, empty before it serves any; ``started`` and
    ``seen`` : Unix times, when it began and when it wrote this; ``faults`` : versions that it cannot serve, and why;
    ``coming`` : versions that it has not tried yet."""

    slot: int
    pid: int = 0
    started: float = 0.0
    seen: float = 0.0
    generation: str = ""
    faults: Mapping[str, str] = field(default_factory=dict)
    coming: Collection[str] = ()


class WorkerFile:
    """The file of this worker. Replaced as a whole, so that nobody reads half of it."""

    def __init__(self, slot: Slot, clock: Callable[[], float] = time.time) -> None:
        self._slot = slot
        self._clock = clock
        self._started = clock()

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self._slot.run_dir / DIRECTORY / f"{self._slot.number}.json"

    def write(self, generation: str, faults: Mapping[str, str], coming: Collection[str] = ()) -> None:
        """Say what is served, and that this worker lives."""
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
    """Every worker of the server of this run directory, by slot; one that has not said anything yet has no generation."""
    found = []
    for number in sorted(held_slots(run_dir)) if run_dir.is_dir() else ():
        try:
            said = WorkerState(**orjson.loads((run_dir / DIRECTORY / f"{number}.json").read_bytes()))
        except (OSError, ValueError, TypeError):
            said = WorkerState(number)
        found.append(said)
    return found


def wait_for_workers(
    run_dir: Path,
    generation: str,
    versions: Collection[str],
    seconds: float,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> tuple[list[WorkerState], list[WorkerState]]:
    """Until every living worker serves this generation or a later one, and has tried these versions (``name:version``; when
    there are none, all that it wants), at most so long: those that do, and the missing.

    A worker that dies is waited for no more; the one that takes its place reads the store anew.
    """
    until = now() + seconds
    while True:
        states = living_workers(run_dir)
        missing = [state for state in states if not _has(state, generation, versions)]
        if not missing or now() >= until:
            return [state for state in states if state not in missing], missing
        sleep(POLL_SECONDS)


def _has(state: WorkerState, generation: str, versions: Collection[str]) -> bool:
    if not state.generation.isdigit() or int(state.generation) < int(generation):
        return False
    return not (set(versions).intersection(state.coming) if versions else state.coming)
