"""A schedule and a clock for tests: greenlets run when the test says so, in an order that a seed chooses."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from greenlet import getcurrent, greenlet

from app.concurrency.forms import Threads, Waiter, not_awaited


class Killed(BaseException):
    """Thrown into a greenlet that the test ends."""


class Schedule(Threads):
    """A Concurrency without a system clock.

    Ready greenlets run in random order; time moves when none is ready.
    """

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(seed)
        self.time = 0.0
        self.ready: list[Callable[[], Any]] = []
        self.settling: list[_Waiter] = []
        self.timers: list[tuple[float, int, Callable[[], Any]]] = []
        self._timer_number = 0
        self._main = getcurrent()
        self.on_threads = 0

    def spawn(self, run: Callable[[], None]) -> Any:
        made = greenlet(run, self._main)
        self.ready.append(made.switch)
        return made

    def mutex(self) -> Any:
        return nullcontext()

    def waiter(self) -> Waiter:
        return _Waiter(self)

    def now(self) -> float:
        return self.time

    def pause(self, seconds: float) -> None:
        _Waiter(self).wait(seconds)

    def on_thread(self, call: Callable[[], Any]) -> Any:
        """Run the call; it takes a millisecond, during which other greenlets run."""
        self.on_threads += 1
        self.pause(0.001)
        return call()

    def in_background(self, call: Callable[[], Any], awaited: Callable[[], bool] = not_awaited) -> Any:
        return self.on_thread(call)

    def at(self, moment: float, run: Callable[[], Any]) -> None:
        """Run the function at a moment of this clock."""
        self._timer_number += 1
        self.timers.append((moment, self._timer_number, run))

    def run(self) -> None:
        """Run greenlets until none is left."""
        while self.ready or self.settling or self.timers:
            if self.ready:
                self.ready.pop(self.random.randrange(len(self.ready)))()
            elif self.settling:
                waiter = self.settling.pop(self.random.randrange(len(self.settling)))
                waiter.resume()
            else:
                self.timers.sort(reverse=True)
                self.time, _, call = self.timers.pop()
                call()


class _Waiter:
    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._greenlet = getcurrent()
        self._waiting = self._woken = False

    def wait(self, seconds: float | None = None) -> bool:
        if self._woken:
            return True
        if seconds is not None:
            self._schedule.at(self._schedule.time + seconds, self.resume)
        self._switch()
        return self._woken

    def settle(self, seconds: float) -> None:
        if self._woken:
            return
        self._schedule.settling.append(self)
        try:
            self._switch()
        finally:
            if self in self._schedule.settling:
                self._schedule.settling.remove(self)

    def wake(self) -> None:
        self._woken = True
        self._schedule.ready.append(self.resume)

    def resume(self) -> None:
        if self._waiting:
            self._greenlet.switch()

    def _switch(self) -> None:
        self._waiting = True
        try:
            self._schedule._main.switch()
        finally:
            self._waiting = False
