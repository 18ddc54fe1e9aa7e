"""A time limit for waits of a greenlet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gevent import get_hub, getcurrent

from app.concurrency.forms import runs_greenlets
from app.concurrency.polling import has_bytes

#: How often a limit is checked.
CHECK_SECONDS = 0.1


class TimedOut(Exception):
    """A wait exceeded its time limit."""


@contextmanager
def time_limit(seconds: float, connection: Any) -> Iterator[None]:
    """Raise TimedOut in the block once it has waited for the connection for longer than ``seconds``.

    Time in which the event loop was blocked does not count, and bytes that have arrived are in time.

    ``connection`` is None when it is not known. A connection with ``has_own_timeout`` ends waits itself.
    Without greenlets there is no limit: the server that calls the application has to set one.
    """
    if not runs_greenlets() or getattr(connection, "has_own_timeout", False):
        yield
        return
    greenlet, loop = getcurrent(), get_hub().loop
    left, checked_at = seconds, loop.now()

    def check() -> None:
        nonlocal left, checked_at
        passed, checked_at = loop.now() - checked_at, loop.now()
        left -= min(passed, 2 * CHECK_SECONDS)
        if left <= 0 and (connection is None or not has_bytes(connection)):
            greenlet.throw(TimedOut(f"nothing arrived within {seconds:g} seconds"))

    timer = loop.timer(min(seconds, CHECK_SECONDS), CHECK_SECONDS)
    timer.start(check)
    try:
        yield
    finally:
        timer.stop()
        timer.close()
