"""Client connections: waiting for bytes, deadlines, sending, and the outbox that sends replies together."""

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

from app.concurrency.polling import has_bytes
from app.concurrency.time_limit import TimedOut

T = TypeVar("T")

#: libev's event for a readable descriptor.
READ_EVENT = 1
#: Bytes that one recv reads at most.
READ_BYTES = 65536
#: Bytes of a file that are sent at a time.
FILE_BYTES = 65536
#: Why a wait ended: the socket is readable, the deadline passed, or unsent output remains.
READABLE, EXPIRED, UNSENT = range(3)
#: SO_LINGER with a time of 0: close() then drops output that the client has not read.
LINGER_ZERO = struct.pack("ii", 1, 0)
#: The outbox is flushed early at this many replies or bytes, so that the first reply does not wait long.
OUTBOX_REPLIES, OUTBOX_BYTES = 64, 1 << 16


class Connection:
    """A client connection, used only by the greenlet that creates it.

    The event loop watches the socket all the time, so a wait costs two greenlet switches and no system call.
    Every wait goes through the event loop, so a client that always has data does not starve other
    connections.
    """

    #: Tells ``time_limit`` that this connection ends waits itself.
    has_own_timeout = True

    def __init__(self, sock: Any, send_seconds: float) -> None:
        self.sock = sock
        #: Seconds that the client may stop reading a reply before the connection is reset.
        self.send_seconds = send_seconds
        #: A request on this connection was answered.
        self.has_replied = False
        #: The connection waits for a request of which no byte has arrived.
        self.idle = False
        #: When a wait for bytes is given up, in seconds of the loop's clock.
        self.deadline = math.inf
        #: A deferred reply, or the part of it that is not sent; sent while waiting for the next request.
        self.unsent = b""
        self._hub = get_hub()
        self._greenlet = getcurrent()
        self._watcher = self._hub.loop.io(sock.fileno(), READ_EVENT)
        self._watched = self._waiting = False
        sock.settimeout(send_seconds)

    def recv(self, size: int = READ_BYTES) -> bytes:
        """Return at most ``size`` bytes, after waiting for the first one; empty when the client has closed.

        Raises TimedOut at the deadline, and OSError.
        """
        self._wait()
        data: bytes = self.sock.recv(size)
        return data

    def _wait(self) -> None:
        """Wait until the socket is readable, and send what is unsent meanwhile."""
        while True:
            self._waiting = True
            if not self._watched:
                self._watched = True
                self._watcher.start(self._on_readable)
            try:
                reason = self._hub.switch()
            finally:
                self._waiting = False
            if reason == READABLE:
                return
            if reason == EXPIRED:
                raise TimedOut("the client sent nothing in time")
            self.flush()

    def next_request(self, seconds: float) -> bytes:
        """Return the first bytes of the next request; empty when the client closes or is silent for
        ``seconds``.
        """
        self.idle = True
        self.deadline = self._hub.loop.now() + seconds
        try:
            return self.recv()
        except TimedOut:
            return b""
        finally:
            self.idle = False

    def fileno(self) -> int:
        """Return the socket's file descriptor."""
        number: int = self.sock.fileno()
        return number

    def sendall(self, data: bytes) -> None:
        """Send all bytes, however slowly the client reads.

        Raises OSError, also when the client reads nothing for ``send_seconds``.
        """
        left = memoryview(data)
        while left:
            queued = self._queued()
            try:
                left = left[self.sock.send(left) :]
            except TimeoutError:
                # The kernel reports room only once a good part of its buffer is free, so a timeout alone does
                # not tell a slow client from one that has stopped reading.
                if self._queued() < queued:
                    continue
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
                raise OSError(errno.ECONNRESET, "the client does not read its reply") from None

    def _queued(self) -> int:
        """Return how many bytes of output the kernel holds that the client has not acknowledged."""
        try:
            reply = fcntl.ioctl(self.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
        except OSError:
            return 0
        queued: int = struct.unpack("i", reply)[0]
        return queued

    def sendfile(self, file: IO[bytes], offset: int = 0, count: int = 0) -> None:
        """Send ``count`` bytes of a file from ``offset`` on. Raises what ``sendall`` raises."""
        file.seek(offset)
        while count > 0 and (piece := file.read(min(count, FILE_BYTES))):
            self.sendall(piece)
            count -= len(piece)

    def flush_nowait(self) -> None:
        """Send what fits into the kernel's buffer.

        The connection's greenlet is woken for the rest, or for an error.
        """
        if self.unsent:
            try:
                sent = os.write(self.sock.fileno(), self.unsent)
            except OSError:
                sent = 0
            self.unsent = self.unsent[sent:]
            if self.unsent:
                self._hub.loop.run_callback(self._on_unsent)

    def flush(self) -> None:
        """Send all unsent output. Sending does not use up the time for the next request. Raises OSError."""
        if self.unsent:
            unsent, self.unsent = self.unsent, b""
            began = self._hub.loop.now()
            self.sendall(unsent)
            self.deadline += self._hub.loop.now() - began

    def limit(self, seconds: float) -> None:
        """Set the deadline to ``seconds`` from now."""
        self.deadline = self._hub.loop.now() + seconds

    def expire(self, now: float) -> None:
        """End a wait whose deadline has passed, unless bytes have arrived. Called on the hub."""
        if self._waiting and self.deadline <= now:
            self._greenlet.switch(READABLE if has_bytes(self) else EXPIRED)

    def end_if_idle(self) -> None:
        """Let an idle wait expire.

        A connection without a first request is kept: its client is about to send one.
        """
        if self.idle and self.has_replied:
            self.deadline = 0.0

    def close(self) -> None:
        """Send what goes without a wait of the unsent output, stop watching, and close the socket."""
        self._watcher.stop()
        self._watcher.close()
        with suppress(OSError):
            self.flush_nowait()
            self.sock.close()

    def _on_readable(self) -> None:
        if self._waiting:
            self._greenlet.switch(READABLE)
        else:
            # libev reports unread bytes on every iteration, so the loop would spin until they are read.
            self._watcher.stop()
            self._watched = False

    def _on_unsent(self) -> None:
        # A greenlet that does not wait flushes before its next request.
        if self._waiting and self.unsent:
            self._greenlet.switch(UNSENT)


class TlsConnection(Connection):
    """A connection over TLS, from ``handshake`` on."""

    def handshake(self, context: ssl.SSLContext, seconds: float) -> None:
        """Perform the TLS handshake within ``seconds``.

        Raises TimedOut, and OSError with the reason of a failure.
        """
        self.limit(seconds)
        self.sock = context.wrap_socket(self.sock, server_side=True, do_handshake_on_connect=False)
        self._retry(self.sock.do_handshake)
        self.deadline = math.inf

    def recv(self, size: int = READ_BYTES) -> bytes:
        """Return at most ``size`` decrypted bytes. Raises what ``Connection.recv`` raises."""
        if not self.sock.pending():
            self._wait()
        data: bytes = self._retry(lambda: self.sock.recv(size))
        return data

    def _retry(self, call: Callable[[], T]) -> T:
        """Repeat a call on the socket until it has enough bytes to return, and wait for bytes in between."""
        while True:
            self.sock.settimeout(0.0)
            try:
                return call()
            except ssl.SSLWantReadError:
                self._wait()
            finally:
                self.sock.settimeout(self.send_seconds)


class Outbox:
    """The replies of one iteration of the event loop, which are sent one right after the other at its end.

    Sending a reply wakes the client, and waking costs more the longer the client's processor has slept. A
    second send also finds the kernel's code in the processor's cache. docs/performance.md has the
    measurements.
    """

    def __init__(self) -> None:
        self._connections: list[Connection] = []
        self._bytes = 0
        self._scheduled = False

    def put(self, connection: Connection, reply: bytes) -> None:
        """Send the reply at the end of the loop iteration. The connection must have no unsent output."""
        connection.unsent = reply
        self._connections.append(connection)
        self._bytes += len(reply)
        if len(self._connections) >= OUTBOX_REPLIES or self._bytes >= OUTBOX_BYTES:
            self.flush()
        elif not self._scheduled:
            self._scheduled = True
            get_hub().loop.run_callback(self._end_of_iteration)

    def flush(self) -> None:
        """Send all replies now, without a wait."""
        connections, self._connections, self._bytes = self._connections, [], 0
        for connection in connections:
            connection.flush_nowait()

    def _end_of_iteration(self) -> None:
        self._scheduled = False
        self.flush()
