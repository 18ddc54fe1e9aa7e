"""How waiting is bounded in a greenlet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import gevent

from app.serving.concurrency import on_the_hub


class TimedOut(Exception):
    """The wait took longer than it may."""


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
