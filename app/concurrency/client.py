"""How waiting is bounded: in time in a greenlet, and by whether anybody still waits for the answer."""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gevent import get_hub, getcurrent

from app.concurrency.forms import runs_greenlets
from app.concurrency.polling import is_ready

#: How often a limit is looked at.
LOOK_SECONDS = 0.1


class TimedOut(Exception):
    """The wait took longer than it may."""


def hung_up(connection: Any) -> bool:
    """Whether the other side has closed the connection, or its half of it. Reads nothing and does not wait."""
    return _tells(connection, select.POLLRDHUP)


def has_bytes(connection: Any) -> bool:
    """Whether something has come that was not read yet, be it the end. Reads nothing and does not wait."""
    return _tells(connection, select.POLLIN)


def _tells(connection: Any, event: int) -> bool:
    try:
        return is_ready(connection.fileno(), event)
    except (OSError, ValueError):  # closed on this side
        return True


@contextmanager
def time_limit(seconds: float, connection: Any) -> Iterator[None]:
    """Raise TimedOut in the block when it waits longer for the connection.

    The time in which the server itself stood still does not count, and bytes that are there have come in time.

    connection : None when it is not known; one that is ``timed`` ends its waits itself. Outside gevent's workers the server
    in front must do it.
    """
    if not runs_greenlets() or getattr(connection, "timed", False):
        yield
        return
    waiting, loop = getcurrent(), get_hub().loop
    left, looked = seconds, loop.now()

    def look() -> None:
        nonlocal left, looked
        passed, looked = loop.now() - looked, loop.now()
        left -= min(passed, 2 * LOOK_SECONDS)
        if left <= 0 and (connection is None or not has_bytes(connection)):
            waiting.throw(TimedOut(f"nothing arrived within {seconds:g} seconds"))

    timer = loop.timer(min(seconds, LOOK_SECONDS), LOOK_SECONDS)
    timer.start(look)
    try:
        yield
    finally:
        timer.stop()
        timer.close()
