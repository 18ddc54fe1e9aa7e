"""The socket that gunicorn's own loop gets for a connection that leaves the fast lane."""

from __future__ import annotations

from typing import IO, Any

from app.worker.connection import Connection


class Handover:
    """A socket that first returns the bytes that were read from the connection already, and then reads on."""

    #: Tells ``time_limit`` that the connection ends waits itself.
    has_own_timeout = True

    def __init__(self, connection: Connection, unread: bytes) -> None:
        self.connection = connection
        #: The request whose client waits for "100 Continue" before it sends the body; None once that was
        #: sent. It is sent when the application reads the body. If the application replies without reading,
        #: the connection ends, because the server cannot tell whether the body still follows.
        self.expecting: Any = None
        self._unread = unread

    def recv(self, size: int) -> bytes:
        """Return at most ``size`` bytes. Raises TimedOut at the connection's deadline, and OSError."""
        data, self._unread = self._unread[:size], self._unread[size:]
        if not data:
            if self.expecting is not None:
                self.expecting.must_close = False
                self.expecting = None
                self.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            data = self.connection.recv(size)
        self.connection.idle = False
        return data

    def expect(self, request: Any) -> None:
        """Take over "100 Continue" from gunicorn, unless the body has begun to arrive or is empty."""
        if request._expected_100_continue:
            request._expected_100_continue = False
            begun = self._unread or request.unreader.buf.getbuffer().nbytes
            # A chunked body has no length.
            if not begun and getattr(request.body.reader, "length", None) != 0:
                request.force_close()
                self.expecting = request

    def sendall(self, data: bytes) -> None:
        """Send all bytes. Raises what ``Connection.sendall`` raises."""
        self.connection.sendall(data)

    def sendfile(self, file: IO[bytes], offset: int = 0, count: int = 0) -> None:
        """Send ``count`` bytes of a file from ``offset`` on. Raises what ``Connection.sendall`` raises."""
        self.connection.sendfile(file, offset, count)

    def setblocking(self, flag: bool) -> None:
        """Set whether the socket blocks; a blocking one keeps the connection's time limit."""
        self.connection.sock.settimeout(self.connection.send_seconds if flag else 0.0)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection.sock, name)
