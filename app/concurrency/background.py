"""Native threads for long work, which give way to requests.

Loading a model is mostly Python code. A thread that runs Python takes the interpreter each time that a
request releases it, which happens at every read, every send and every call of compiled code. A background
thread therefore sleeps while the event loop is busy. It checks that in a profile function (sys.setprofile),
which Python calls at every function call and which makes Python about half as fast. While no requests arrive
there is nothing to give way to, and the thread runs without the profile function.
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

#: Python's switch interval while a background thread runs, instead of 5 ms.
SWITCH_SECONDS = 0.00001
#: Niceness of threads whose result no client waits for, so that the kernel lets request handling preempt
#: them.
NICENESS = 10
#: While the event loop is busy, a background thread works for WORK_SECONDS and then sleeps for REST_SECONDS.
#: It sleeps less if a client waits for its result, and a tenth of that once it has run for
#: HASTE_AFTER_SECONDS.
WORK_SECONDS, REST_SECONDS, AWAITED_REST_SECONDS, HASTE_AFTER_SECONDS = 0.0002, 0.002, 0.0004, 10.0
#: More requests are expected after EXPECT_REQUESTS of them within EXPECT_SECONDS.
EXPECT_REQUESTS, EXPECT_SECONDS = 8, 1.0
#: Function calls between two checks of an idle event loop, after which a thread drops its profile function.
CHECK_CALLS = 1000
#: Threads of each niceness.
MAX_THREADS = 8

now = time.perf_counter
_sleep = monkey.get_original("time", "sleep")
_this_thread = monkey.get_original("threading", "get_ident")


class Activity:
    """What background threads know about the work of the event loop."""

    def __init__(self) -> None:
        #: When the last requests for a prediction arrived, in seconds of ``now``.
        self.request_times = deque([-math.inf], EXPECT_REQUESTS)
        #: Calls of models that run on native threads for clients.
        self.running_calls = 0
        #: The loop is between two waits for events. Maintained only while a background thread exists.
        self.loop_is_busy = False
        #: The profile function of each background thread, by the thread's identifier.
        self._profilers: dict[int, Callable[..., None]] = {}
        self._background_threads, self._watchers = 0, ExitStack()

    def expects_requests(self) -> bool:
        """Return whether requests have arrived repeatedly within the last second."""
        return now() - self.request_times[0] < EXPECT_SECONDS

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Count a model call for a client as running on a native thread."""
        self.running_calls += 1
        try:
            yield
        finally:
            self.running_calls -= 1

    @contextmanager
    def giving_way(self, awaited: Callable[[], bool]) -> Iterator[None]:
        """Make the current thread sleep between function calls while the event loop is busy.

        A lower priority alone is not enough: the event loop would still wait for this thread's switch
        interval each time that it needs the interpreter.
        """
        until, calls = 0.0, 0
        haste = now() + HASTE_AFTER_SECONDS

        def profile(*_: Any) -> None:
            nonlocal until, calls
            if self.loop_is_busy or self.running_calls or not awaited():
                if (moment := now()) <= until:
                    return
                if self.expects_requests():
                    rest = AWAITED_REST_SECONDS if awaited() else REST_SECONDS
                    _sleep(rest if moment < haste else rest / 10)
                    until = now() + WORK_SECONDS
                    return
            else:
                calls += 1
                if calls % CHECK_CALLS or self.expects_requests():
                    return
            sys.setprofile(None)

        self._profilers[_this_thread()] = profile
        if self.expects_requests():
            sys.setprofile(profile)
        try:
            yield
        finally:
            del self._profilers[_this_thread()]
            sys.setprofile(None)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Observe the event loop while background threads exist, and shorten Python's switch interval.

        The short interval limits how long the loop waits for a background thread that does not sleep by
        itself.
        """
        if not self._background_threads:
            self._watch()
        self._background_threads += 1
        try:
            yield
        finally:
            self._background_threads -= 1
            if not self._background_threads:
                self._watchers.close()

    def _watch(self) -> None:
        undo, loop = self._watchers.callback, get_hub().loop
        undo(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(SWITCH_SECONDS)
        undo(gc.callbacks.remove, self._on_collection)
        gc.callbacks.append(self._on_collection)
        self._set_busy(True)
        # The first watcher runs before all other events of an iteration, the second one after all callbacks.
        for watcher, busy in (
            (loop.check(ref=False, priority=2), True),
            (loop.prepare(ref=False, priority=-2), False),
        ):
            watcher.start(self._set_busy, busy)
            undo(watcher.close)
            undo(watcher.stop)

    def _set_busy(self, busy: bool) -> None:
        self.loop_is_busy = busy

    def _on_collection(self, phase: str, info: object) -> None:
        """Set the profile function again if requests arrive again.

        Python calls this on the thread that triggers a garbage collection, as one that creates many objects
        does.
        """
        profile = self._profilers.get(_this_thread())
        if profile is not None and sys.getprofile() is None and self.expects_requests():
            sys.setprofile(profile)


activity = Activity()


def in_background(call: Callable[[], T], awaited: Callable[[], bool]) -> T:
    """Run the function on a native thread that gives way to requests, and wait for its result.

    ``awaited`` tells whether a client waits for the result; it is called repeatedly.
    """
    niceness = 0 if awaited() else NICENESS

    def run() -> T:
        if niceness:
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
        with activity.giving_way(awaited):
            return call()

    with activity.watched():
        return on_pool(_pool(niceness), run)


def on_pool(pool: ThreadPool, call: Callable[[], T]) -> T:
    """Run the function on a thread of the pool, and wait for its result. Raises what the function raises."""
    outcome: tuple[T | None, BaseException | None] = pool.apply(_outcome, (call,))
    result, error = outcome
    if error is not None:
        raise error
    return cast(T, result)


def _outcome(call: Callable[[], T]) -> tuple[T | None, BaseException | None]:
    """Return the function's result or exception: gevent's pool prints an exception that leaves a function."""
    try:
        return call(), None
    except BaseException as error:
        return None, error


@cache
def _pool(niceness: int) -> ThreadPool:
    """Return the pool of threads with this niceness.

    A thread cannot lower its niceness again (setpriority(2)).
    """
    return ThreadPool(MAX_THREADS)
