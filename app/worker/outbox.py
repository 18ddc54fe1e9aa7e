"""Replies leave together: those of one turn of the event loop are sent one right after the other.

A send wakes the client's side, which costs more the longer that has slept, and the kernel's code is in the processor's
cache the second time. docs/performance.md has what it brings.
"""

from __future__ import annotations

from gevent import get_hub

from app.worker.connection import Connection

#: So many replies or bytes wait for each other, at most: the first one must not wait long.
MOST_REPLIES, MOST_BYTES = 64, 1 << 16


class Outbox:
    """What one worker's connections owe to their clients until the end of the turn."""

    def __init__(self) -> None:
        self._owing: list[Connection] = []
        self._bytes = 0
        self._scheduled = False

    def put(self, connection: Connection, reply: bytes) -> None:
        """Send it when everything that is ready has had its turn. Nothing may be owed to the connection yet."""
        connection.owed = reply
        self._owing.append(connection)
        self._bytes += len(reply)
        if len(self._owing) >= MOST_REPLIES or self._bytes >= MOST_BYTES:
            self.flush()
        elif not self._scheduled:
            self._scheduled = True
            get_hub().loop.run_callback(self._end_of_turn)

    def flush(self) -> None:
        """Send all of it now; does not wait."""
        owing, self._owing, self._bytes = self._owing, [], 0
        for connection in owing:
            connection.send_owed()

    def _end_of_turn(self) -> None:
        self._scheduled = False
        self.flush()
