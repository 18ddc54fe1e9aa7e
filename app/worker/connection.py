"""One client's connection: how its greenlet waits for bytes, for how long, and how it is ended."""

from __future__ import annotations

import math
import os
import socket
from contextlib import suppress
from typing import Any

from gevent import get_hub, getcurrent

from app.serving.deadline import TimedOut

READABLE = 1
READ_BYTES = 65536
#: Why a wait ends: bytes have come, its deadline has passed, or what is owed could not be sent without a wait.
CAME, EXPIRED, OWING = range(3)


class Connection:
    """Belongs to the greenlet that makes it. The socket is watched all the time, so a wait costs two switches and no call
    to the kernel; every wait goes through the event loop, so a client that always has data does not starve others.

    ``served`` : a request was answered. ``idle`` : no byte of the next one has come. ``deadline`` : when a wait is given
    up, by the loop's clock. ``owed`` : a reply, or what is left of it, that was put off (``outbox.py``): it is sent while
    the next request is waited for.
    """

    def __init__(self, sock: Any) -> None:
        self.sock = sock
        self.served = self.idle = False
        self.deadline = math.inf
        self.owed = b""
        self._hub = get_hub()
        self._greenlet = getcurrent()
        self._watcher = self._hub.loop.io(sock.fileno(), READABLE)
        self._watched = self._waiting = False

    def read(self, size: int = READ_BYTES) -> bytes:
        """What has come, up to ``size`` bytes, after a wait for the first one; empty when the client has closed.

        Raises TimedOut at the deadline, and OSError.
        """
        while (why := self._wait()) == OWING:
            self.settle()
        if why == EXPIRED:
            raise TimedOut("the client sent nothing in time")
        data: bytes = self.sock.recv(size)
        return data

    def _wait(self) -> int:
        self._waiting = True
        if not self._watched:
            self._watched = True
            self._watcher.start(self._on_readable)
        try:
            why: int = self._hub.switch()
            return why
        finally:
            self._waiting = False

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

    def send_owed(self) -> None:
        """Send as much as goes without a wait. For the rest, or the error, the connection's own greenlet is woken."""
        if self.owed:
            try:
                sent = os.write(self.sock.fileno(), self.owed)
            except OSError:
                sent = 0
            self.owed = self.owed[sent:]
            if self.owed:
                self._hub.loop.run_callback(self._on_owing)

    def settle(self) -> None:
        """Send what is owed, however long the client takes, which is not its time for the next request; raises OSError."""
        if self.owed:
            owed, self.owed = self.owed, b""
            began = self._hub.loop.now()
            self.sock.sendall(owed)
            self.deadline += self._hub.loop.now() - began

    def limit(self, seconds: float) -> float:
        """The moment in so many seconds, by the loop's clock."""
        moment: float = self._hub.loop.now() + seconds
        return moment

    def expire(self, now: float) -> None:
        """End a wait whose deadline has passed. Called on the hub."""
        if self._waiting and self.deadline <= now:
            self._greenlet.switch(EXPIRED)

    def end_if_idle(self) -> None:
        """Let a client that asks nothing more find the connection at its end; what has come is still read.

        One that has just connected is about to ask.
        """
        if self.idle and self.served and self._waiting:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Stop watching, and close the socket; what is still owed is sent as far as that goes at once."""
        self._watcher.stop()
        self._watcher.close()
        with suppress(OSError):
            self.send_owed()
            self.sock.close()

    def _on_readable(self) -> None:
        if self._waiting:
            self._greenlet.switch(CAME)
        else:
            # Bytes that nobody waits for yet would wake the loop for ever.
            self._watcher.stop()
            self._watched = False

    def _on_owing(self) -> None:
        # One that does not wait settles before its next request.
        if self._waiting and self.owed:
            self._greenlet.switch(OWING)


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
