"""Polls of file descriptors: the kernel answers at once, without a wait and without the event loop."""

from __future__ import annotations

import select
from typing import Any

from gevent import monkey

_poll = monkey.get_original("select", "poll")


def is_ready(fd: int, events: int) -> bool:
    """Return whether one of the ``events`` (as in select.poll), an error or a hang-up is pending."""
    poll = _poll()
    poll.register(fd, events)
    return bool(poll.poll(0))


def hung_up(connection: Any) -> bool:
    """Return whether the peer has closed the connection, or its half of it. Reads nothing."""
    return _has_event(connection, select.POLLRDHUP)


def has_bytes(connection: Any) -> bool:
    """Return whether unread bytes, or the end of the stream, have arrived. Reads nothing."""
    return _has_event(connection, select.POLLIN)


def _has_event(connection: Any, event: int) -> bool:
    try:
        return is_ready(connection.fileno(), event)
    except (OSError, ValueError):  # closed on this side
        return True
