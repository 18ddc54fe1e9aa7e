"""Native threads beside gevent's hub, and how what takes long on one lets the requests go first."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, TypeVar, cast

from gevent import monkey
from gevent.threadpool import ThreadPool

T = TypeVar("T")

#: Instead of Python's 5 ms, while something long runs on a thread beside the hub.
SWITCH_SECONDS = 0.00001

#: Of a thread beside the hub for long work: whatever wakes meanwhile gets its processor at once, not at the end of a slice.
NICENESS = 10
#: Such a thread works for so long and then rests, and rests less when it has taken so much time already.
WORK_SECONDS, REST_SECONDS, HASTE_AFTER_SECONDS = 0.0002, 0.002, 10.0
BACKGROUND_THREADS = 8  # at most

#: One for each that gives way; the first is the interval from before.
_giving: list[float] = []


def in_background(call: Callable[[], T]) -> T:
    """Call it on a native thread of lower priority that gives the interpreter back much sooner than threads do by default,
    and wait for that."""

    def politely() -> T:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        with _resting():
            return call()

    with _giving_way():
        return on_pool(_background(), politely)


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


@contextmanager
def _resting() -> Iterator[None]:
    """In this thread sleep after some work, between two calls of functions, whoever's they are.

    A lower priority does not do: each time that a request lets go of the interpreter, as reading, sending and every call
    of compiled code do, it would wait for this thread to let go of it again.
    """
    now, sleep = time.perf_counter, monkey.get_original("time", "sleep")
    until = now() + WORK_SECONDS
    haste = until + HASTE_AFTER_SECONDS

    def look(frame: Any, event: str, argument: Any) -> None:
        nonlocal until
        if (at := now()) > until:
            sleep(REST_SECONDS if at < haste else REST_SECONDS / 10)
            until = now() + WORK_SECONDS

    sys.setprofile(look)
    try:
        yield
    finally:
        sys.setprofile(None)


@contextmanager
def _giving_way() -> Iterator[None]:
    """A thread that wants to run waits this long at most for one that does not stop by itself."""
    _giving.append(sys.getswitchinterval())
    sys.setswitchinterval(min(_giving[0], SWITCH_SECONDS))
    try:
        yield
    finally:
        before = _giving[0]
        _giving.pop()
        if not _giving:
            sys.setswitchinterval(before)


@cache
def _background() -> ThreadPool:
    """Threads that nobody else uses: one of lower priority is never raised again (setpriority(2))."""
    return ThreadPool(BACKGROUND_THREADS)
