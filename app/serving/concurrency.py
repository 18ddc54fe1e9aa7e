"""The one seam to greenlets and threads: under gevent's patches these are greenlets, elsewhere native threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

from gevent import monkey


class Lock(Protocol):
    """A mutual exclusion lock, used as a context manager."""

    def __enter__(self) -> bool:
        """Wait for the lock and take it."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Give it back."""


class Concurrency(Protocol):
    """What the engine needs from its surroundings; tests give it a clock and a schedule of their own."""

    def spawn(self, run: Callable[[], None]) -> None:
        """Run it beside everything else; it dies with the process."""

    def lock(self) -> Lock:
        """A new lock."""

    def now(self) -> float:
        """Monotonic time in seconds."""

    def pause(self, seconds: float) -> None:
        """Let everything else go on for so long."""


class Threads:
    """Threads and the clock of this process, which gevent's monkey patching turns into greenlets in its workers."""

    def spawn(self, run: Callable[[], None]) -> None:
        """A daemon thread."""
        threading.Thread(target=run, daemon=True, name=getattr(run, "__name__", "plumbline")).start()

    def lock(self) -> Lock:
        """A threading.Lock."""
        return threading.Lock()

    def now(self) -> float:
        """time.perf_counter()."""
        return time.perf_counter()

    def pause(self, seconds: float) -> None:
        """A timed sleep, which lets gevent's hub look at its sockets (a sleep of 0 would not)."""
        time.sleep(seconds)


def on_the_hub() -> bool:
    """Whether this process runs greenlets, so that long work must be cut into slices."""
    return bool(monkey.is_module_patched("threading"))
