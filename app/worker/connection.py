"""One client's connection: how its greenlet waits for the client, for how long, and how it is ended."""

from __future__ import annotations

import errno
import fcntl
import math
import os
import socket
import ssl
import struct
import termios
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any, TypeVar

from gevent import get_hub, getcurrent

from app.concurrency.client import TimedOut, has_bytes

T = TypeVar("T")

READABLE = 1
READ_BYTES = 65536
#: A file is sent in pieces of this size.
FILE_BYTES = 65536
#: Why a wait ends: bytes have come, its deadline has passed, or what is owed could not be sent without a wait.
CAME, EXPIRED, OWING = range(3)
#: A socket that is closed with this drops what the client has not taken.
AT_ONCE = struct.pack("ii", 1, 0)


class Connection:
    """Belongs to the greenlet that makes it. The socket is watched all the time, so a wait costs two switches and no call
    to the kernel; every wait goes through the event loop, so a client that always has data does not starve others.

    ``served`` : a request was answered. ``idle`` : no byte of the next one has come. ``deadline`` : when a wait for bytes
    is given up, by the loop's clock. ``send_seconds`` : how long the client may take nothing of what is sent. ``owed`` : a
    reply, or what is left of it, that was put off (``outbox.py``): it is sent while the next request is waited for.
    """

    #: It ends waits itself, so nobody else has to (``app/concurrency/client.py``).
    timed = True

    def __init__(self, sock: Any, send_seconds: float) -> None:
        self.sock = sock
        self.send_seconds = send_seconds
        self.served = self.idle = False
        self.deadline = math.inf
        self.owed = b""
        self._hub = get_hub()
        self._greenlet = getcurrent()
        self._watcher = self._hub.loop.io(sock.fileno(), READABLE)
        self._watched = self._waiting = False
        sock.settimeout(send_seconds)

    def recv(self, size: int = READ_BYTES) -> bytes:
        """What has come, up to ``size`` bytes, after a wait for the first one; empty when the client has closed.

        Raises TimedOut at the deadline, and OSError.
        """
        self._wait()
        data: bytes = self.sock.recv(size)
        return data

    def _wait(self) -> None:
        """Until something has come."""
        while True:
            self._waiting = True
            if not self._watched:
                self._watched = True
                self._watcher.start(self._on_readable)
            try:
                why = self._hub.switch()
            finally:
                self._waiting = False
            if why == CAME:
                return
            if why == EXPIRED:
                raise TimedOut("the client sent nothing in time")
            self.settle()

    def next_request(self, seconds: float) -> bytes:
        """The first bytes of the next request; empty when the client has closed, or was silent for so long."""
        self.idle = True
        self.deadline = self._hub.loop.now() + seconds
        try:
            return self.recv()
        except TimedOut:
            return b""
        finally:
            self.idle = False

    def fileno(self) -> int:
        """The socket's."""
        number: int = self.sock.fileno()
        return number

    def sendall(self, data: bytes) -> None:
        """Send all of it, as long as the client takes some now and then; raises OSError, also where it does not."""
        left = memoryview(data)
        while left:
            queued = self._queued()
            try:
                left = left[self.sock.send(left) :]
            except TimeoutError:
                # The kernel says that there is room only after a good part was taken: a slow client is not a stalled one.
                if self._queued() < queued:
                    continue
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
                raise OSError(errno.ECONNRESET, "the client does not read its reply") from None

    def _queued(self) -> int:
        """How many bytes the kernel holds that the client has not taken."""
        try:
            told = fcntl.ioctl(self.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
        except OSError:
            return 0
        queued: int = struct.unpack("i", told)[0]
        return queued

    def sendfile(self, file: IO[bytes], offset: int = 0, count: int = 0) -> None:
        """Send ``count`` bytes of a file, from ``offset`` on, as ``sendall`` does."""
        file.seek(offset)
        while count > 0 and (piece := file.read(min(count, FILE_BYTES))):
            self.sendall(piece)
            count -= len(piece)

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
        """Send what is owed. The time that the client takes is not its time for the next request. Raises OSError."""
        if self.owed:
            owed, self.owed = self.owed, b""
            began = self._hub.loop.now()
            self.sendall(owed)
            self.deadline += self._hub.loop.now() - began

    def limit(self, seconds: float) -> None:
        """Let the deadline be in so many seconds."""
        self.deadline = self._hub.loop.now() + seconds

    def expire(self, now: float) -> None:
        """End a wait whose deadline has passed, unless the bytes are there. Called on the hub."""
        if self._waiting and self.deadline <= now:
            self._greenlet.switch(CAME if has_bytes(self) else EXPIRED)

    def end_if_idle(self) -> None:
        """Let the wait for a client that asks nothing more expire; one that has just connected is about to ask."""
        if self.idle and self.served:
            self.deadline = 0.0

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


class TlsConnection(Connection):
    """A connection over TLS, once ``handshake`` was called."""

    def handshake(self, context: ssl.SSLContext, seconds: float) -> None:
        """Agree with the client in so many seconds. Raises TimedOut, and OSError that says what was wrong."""
        self.limit(seconds)
        self.sock = context.wrap_socket(self.sock, server_side=True, do_handshake_on_connect=False)
        self._once_there(self.sock.do_handshake)
        self.deadline = math.inf

    def recv(self, size: int = READ_BYTES) -> bytes:
        """As that of its base class."""
        if not self.sock.pending():
            self._wait()
        data: bytes = self._once_there(lambda: self.sock.recv(size))
        return data

    def _once_there(self, call: Callable[[], T]) -> T:
        """The result of a call on the socket that may need more bytes than have come."""
        while True:
            self.sock.settimeout(0.0)
            try:
                return call()
            except ssl.SSLWantReadError:
                self._wait()
            finally:
                self.sock.settimeout(self.send_seconds)
