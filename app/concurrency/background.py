"""Native threads beside gevent's hub, and how what takes long on one lets the requests go first.

Loading a model is mostly Python. A thread that runs Python beside the hub takes the interpreter each time that a request
lets go of it, as reading, sending and every call of compiled code do. So such a thread rests while the hub is busy. It
learns of that in a profile function (sys.setprofile), which Python calls at each call of any function, and which makes
Python half as fast. As long as no model is asked there is nobody to rest for: the thread runs without that function then.
"""

from __future__ import annotations

import gc
import math
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from typing import Any, TypeVar, cast

from gevent import get_hub, monkey
from gevent.threadpool import ThreadPool

T = TypeVar("T")

#: Instead of Python's 5 ms, while something long runs on a thread beside the hub.
SWITCH_SECONDS = 0.00001
#: Of a thread whose work nobody waits for: whatever wakes meanwhile gets its processor at once, not at the end of a slice.
NICENESS = 10
#: Beside a busy hub a thread works for so long and then rests: less where somebody waits for its work, and less again
#: where it has taken so much time already.
WORK_SECONDS, REST_SECONDS, AWAITED_REST_SECONDS, HASTE_AFTER_SECONDS = 0.0002, 0.002, 0.0004, 10.0
#: Where models were asked so often in so long a time, more requests are expected.
EXPECT_REQUESTS, EXPECT_SECONDS = 8, 1.0
#: After so many calls of functions beside an idle hub a thread asks whether it still has to look at it.
LOOKS = 1000
MOST_THREADS = 8  # of each priority

now = time.perf_counter
_sleep = monkey.get_original("time", "sleep")
_this_thread = monkey.get_original("threading", "get_ident")


class Hub:
    """What threads beside gevent's hub see of its work."""

    def __init__(self) -> None:
        #: When clients last asked models, and how many calls of models native threads compute now.
        self.asked = deque([-math.inf], EXPECT_REQUESTS)
        self.calls = 0
        #: Whether the loop is between two waits for events; kept while a thread is in the background.
        self.turns = False
        #: By thread in the background, the profile function in which it rests.
        self._looks: dict[int, Callable[..., None]] = {}
        self._guests, self._watching = 0, ExitStack()

    def expects_requests(self) -> bool:
        """Whether models were asked again and again of late."""
        return now() - self.asked[0] < EXPECT_SECONDS

    @contextmanager
    def calling(self) -> Iterator[None]:
        """While a native thread computes for a client."""
        self.calls += 1
        try:
            yield
        finally:
            self.calls -= 1

    @contextmanager
    def resting(self, awaited: Callable[[], bool]) -> Iterator[None]:
        """In this thread sleep after some work while the hub is busy, between two calls of functions, whoever's they are.

        A lower priority does not do: the hub would wait for this thread at every return to the interpreter.
        """
        until, looks = 0.0, 0
        haste = now() + HASTE_AFTER_SECONDS

        def look(*_: Any) -> None:
            nonlocal until, looks
            if self.turns or self.calls or not awaited():
                if (at := now()) <= until:
                    return
                if self.expects_requests():
                    rest = AWAITED_REST_SECONDS if awaited() else REST_SECONDS
                    _sleep(rest if at < haste else rest / 10)
                    until = now() + WORK_SECONDS
                    return
            else:
                looks += 1
                if looks % LOOKS or self.expects_requests():
                    return
            sys.setprofile(None)

        self._looks[_this_thread()] = look
        if self.expects_requests():
            sys.setprofile(look)
        try:
            yield
        finally:
            del self._looks[_this_thread()]
            sys.setprofile(None)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """While threads are in the background, see whether the loop turns, and let a thread that wants to run wait as little as
        can be for one that does not stop by itself."""
        if not self._guests:
            self._watch()
        self._guests += 1
        try:
            yield
        finally:
            self._guests -= 1
            if not self._guests:
                self._watching.close()

    def _watch(self) -> None:
        undo, loop = self._watching.callback, get_hub().loop
        undo(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(SWITCH_SECONDS)
        undo(gc.callbacks.remove, self._collected)
        gc.callbacks.append(self._collected)
        self._turn(True)
        # Before all events of a turn, and after all callbacks.
        for watcher, turns in (
            (loop.check(ref=False, priority=2), True),
            (loop.prepare(ref=False, priority=-2), False),
        ):
            watcher.start(self._turn, turns)
            undo(watcher.close)
            undo(watcher.stop)

    def _turn(self, turns: bool) -> None:
        self.turns = turns

    def _collected(self, phase: str, info: object) -> None:
        """A thread that makes many objects comes by here: requests may have come since it began."""
        look = self._looks.get(_this_thread())
        if look is not None and sys.getprofile() is None and self.expects_requests():
            sys.setprofile(look)


hub = Hub()


def in_background(call: Callable[[], T], awaited: Callable[[], bool]) -> T:
    """Call it on a native thread that lets the requests go first, and wait for that.

    ``awaited`` : whether somebody waits for what it returns; asked now and then.
    """
    niceness = 0 if awaited() else NICENESS

    def politely() -> T:
        if niceness:
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
        with hub.resting(awaited):
            return call()

    with hub.watched():
        return on_pool(_pool(niceness), politely)


def on_pool(pool: ThreadPool, call: Callable[[], T]) -> T:
    """Call it on a thread of the pool, and wait for that."""
    outcome: tuple[T | None, BaseException | None] = pool.apply(_outcome, (call,))
    result, error = outcome
    if error is not None:
        raise error
    return cast(T, result)


def _outcome(call: Callable[[], T]) -> tuple[T | None, BaseException | None]:
    """What came of a call: gevent's pool prints every exception that leaves one, also those that are answers."""
    try:
        return call(), None
    except BaseException as error:
        return None, error


@cache
def _pool(niceness: int) -> ThreadPool:
    """Threads of this priority: one that was lowered is never raised again (setpriority(2))."""
    return ThreadPool(MOST_THREADS)
