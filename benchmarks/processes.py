"""All processes of one server: found, measured and stopped, also those that made themselves daemons.

A tree is known by a marker in the environment that its first process was given. Children inherit it; a process that
overwrote its environment with a title is found through its parent, and one that was found once is remembered by its
start time, so that it can be stopped after its parent is gone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

MARKER = "BENCH_MARKER"
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Stat:
    """What ``/proc/<pid>/stat`` says; ``started`` is in clock ticks since boot and tells a reused pid."""

    pid: int
    parent: int
    state: str
    started: int
    cpu_seconds: float


@dataclass(slots=True)
class ProcessTree:
    """The live processes that carry ``marker`` in their environment, and their descendants."""

    marker: str
    _known: dict[int, int] = field(default_factory=dict)

    def processes(self) -> list[Stat]:
        """Every live process of the tree; zombies are not live."""
        stats = {stat.pid: stat for stat in _all_processes()}
        needle = f"{MARKER}={self.marker}".encode()
        ours = {
            pid
            for pid, stat in stats.items()
            if self._known.get(pid) == stat.started or needle in _read(f"/proc/{pid}/environ").split(b"\0")
        }
        children: dict[int, list[int]] = {}
        for stat in stats.values():
            children.setdefault(stat.parent, []).append(stat.pid)
        waiting = list(ours)
        while waiting:
            for child in children.get(waiting.pop(), []):
                if child not in ours:
                    ours.add(child)
                    waiting.append(child)
        self._known = {pid: stats[pid].started for pid in ours}
        return [stats[pid] for pid in sorted(ours)]

    def pss_bytes(self) -> int:
        """Memory of the whole tree: each page shared by n processes counts for 1/n in each of them."""
        return sum(pss_bytes_of(stat.pid) for stat in self.processes())

    def cpu_seconds(self) -> float:
        """CPU time of the whole tree, of children that ended and were waited for too."""
        return sum(stat.cpu_seconds for stat in self.processes())

    def stop(self, grace_seconds: float) -> None:
        """End every process of the tree, with SIGKILL after the grace; returns when none is left."""
        deadline = time.monotonic() + grace_seconds
        asked: set[int] = set()
        while alive := self.processes():
            patient = time.monotonic() < deadline
            for stat in alive:
                if not patient or stat.pid not in asked:
                    _send(stat, signal.SIGTERM if patient else signal.SIGKILL)
                    asked.add(stat.pid)
            time.sleep(POLL_SECONDS)


def _all_processes() -> Iterator[Stat]:
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (stat := _stat(int(entry))) is not None and stat.state not in "ZX":
            yield stat


def _stat(pid: int) -> Stat | None:
    text = _read(f"/proc/{pid}/stat").decode(errors="replace")
    if not text:
        return None
    # The name is in parentheses and may hold anything; the numbers follow the last of them.
    fields = text.rpartition(")")[2].split()
    ticks = sum(int(value) for value in fields[11:15])
    return Stat(pid, int(fields[1]), fields[0], int(fields[19]), ticks / TICKS_A_SECOND)


def pss_bytes_of(pid: int) -> int:
    """Proportional set size of one process: a page shared by n of them counts 1/n in each. 0 for one that has ended."""
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _send(stat: Stat, number: int) -> None:
    """Signal exactly this process: a pid that was given to another in the meantime is left alone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        handle = os.pidfd_open(stat.pid)
        try:
            now = _stat(stat.pid)
            if now is not None and now.started == stat.started:
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)


def _read(path: str) -> bytes:
    """The file's bytes; nothing when the process is gone or another user's."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""
