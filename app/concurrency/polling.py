"""Whether a file is ready for something at this moment: asked of the system, without a wait and without the hub."""

from __future__ import annotations

from gevent import monkey

_poll = monkey.get_original("select", "poll")


def is_ready(fd: int, events: int) -> bool:
    """``events`` : as in select.poll; whether one of them is there, or an error, or the other side's end."""
    poll = _poll()
    poll.register(fd, events)
    return bool(poll.poll(0))
