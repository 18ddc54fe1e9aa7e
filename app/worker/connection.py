"""One client's connection: how its greenlet waits for bytes, for how long, and how it is ended."""

from __future__ import annotations

import math
import socket
from contextlib import suppress
from typing import Any

from gevent import get_hub, getcurrent

from app.serving.deadline import TimedOut

READABLE = 1
READ_BYTES = 65536


class Connection:
    """Belongs to the greenlet that makes it. The socket is watched all the time, so a wait costs two switches and no call
    to the kernel; every wait goes through the event loop, so a client that always has data does not starve others.

    ``served`` : a request was answered. ``idle`` : no byte of the next one has come. ``deadline`` : when a wait is given
    up, by the loop's clock.
    """

    def __init__(self, sock: Any) -> None:
        self.sock = sock
        self.served = self.idle = False
        self.deadline = math.inf
        self._hub = get_hub()
        self._greenlet = getcurrent()
        self._watcher = self._hub.loop.io(sock.fileno(), READABLE)
        self._watched = self._waiting = False

    def read(self, size: int = READ_BYTES) -> bytes:
        """What has come, up to ``size`` bytes, after a wait for the first one; empty when the client has closed.

        Raises TimedOut at the deadline, and OSError.
        """
        self._waiting = True
        if not self._watched:
            self._watched = True
            self._watcher.start(self._on_readable)
        try:
            expired = self._hub.switch()
        finally:
            self._waiting = False
        if expired:
            raise TimedOut("the client sent nothing in time")
        data: bytes = self.sock.recv(size)
        return data

    def next_request(self, seconds: float) -> bytes:
        """The first bytes of the next request; empty when the client has closed, or was silent for so long."""
        self.idle = True
        self.deadline = self._hub.loop.now() + seconds
        try:
            return self.read()
        except TimedOut:
            return b""
        finally:
            self.idle = False

    def limit(self, seconds: float) -> float:
        """The moment in so many seconds, by the loop's clock."""
        moment: float = self._hub.loop.now() + seconds
        return moment

    def expire(self, now: float) -> None:
        """End a wait whose deadline has passed. Called on the hub."""
        if self._waiting and self.deadline <= now:
            self._greenlet.switch(True)

    def end_if_idle(self) -> None:
        """Let a client that asks nothing more find the connection at its end; what has come is still read.

        One that has just connected is about to ask.
        """
        if self.idle and self.served and self._waiting:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Stop watching, and close the socket."""
        self._watcher.stop()
        self._watcher.close()
        with suppress(OSError):
            self.sock.close()

    def _on_readable(self) -> None:
        if self._waiting:
            self._greenlet.switch(False)
        else:
            # Bytes that nobody waits for yet would wake the loop for ever.
            self._watcher.stop()
            self._watched = False


class Handover:
    """The connection as a socket for gunicorn: it first gives back what was read already, and bounds reading a body.

    ``body_deadline`` is set while a request is handled; outside, gunicorn itself times the wait for the next head.
    """

    def __init__(self, connection: Connection, unread: bytes, body_deadline: float = math.inf) -> None:
        self.connection = connection
        self.body_deadline = body_deadline
        self.begun = bool(unread)
        self._unread = unread

    def recv(self, size: int) -> bytes:
        """As a socket does; raises TimedOut at the body's deadline."""
        if self._unread:
            data, self._unread = self._unread[:size], self._unread[size:]
            return data
        connection = self.connection
        connection.deadline = self.body_deadline
        connection.idle = not self.begun and self.body_deadline == math.inf
        try:
            data = connection.read(size)
        finally:
            connection.idle = False
        self.begun = True
        return data

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection.sock, name)
