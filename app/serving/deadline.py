"""How waiting is bounded: in time in a greenlet, and by whether anybody still waits for the answer."""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
from gevent import monkey

from app.serving.concurrency import on_the_hub


class TimedOut(Exception):
    """The wait took longer than it may."""


def hung_up(connection: Any) -> bool:
    """Whether the other side has closed the connection, or its half of it. Reads nothing and does not wait."""
    poll = monkey.get_original("select", "poll")()
    try:
        poll.register(connection.fileno(), select.POLLRDHUP)
    except (OSError, ValueError):  # closed on this side
        return True
    return bool(poll.poll(0))


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimedOut in the block when it waits longer. Outside gevent's workers the server in front must do it."""
    if not on_the_hub():
        yield
        return
    timer = gevent.Timeout.start_new(seconds)
    try:
        yield
    except gevent.Timeout as fired:
        if fired is not timer:
            raise
        raise TimedOut(f"nothing arrived within {seconds:g} seconds") from None
    finally:
        timer.close()
