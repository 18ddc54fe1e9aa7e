"""A connection as the socket that gunicorn's own loop serves."""

from __future__ import annotations

from typing import IO, Any

from app.worker.connection import Connection


class Handover:
    """Gives back what was read already, then reads on.

    ``expecting`` : the request whose client sends its body only after "100 Continue", while that was not said. It is said
    when the application asks for the body. After a reply that did without, the connection ends: whether the body still
    comes, nobody knows.
    """

    #: As its connection.
    timed = True

    def __init__(self, connection: Connection, unread: bytes) -> None:
        self.connection = connection
        self.expecting: Any = None
        self._unread = unread

    def recv(self, size: int) -> bytes:
        """As a socket does; raises TimedOut at the connection's deadline."""
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
        """Take "100 Continue" over from gunicorn. A client that has begun with the body, or has none, does not wait for it."""
        if request._expected_100_continue:
            request._expected_100_continue = False
            begun = self._unread or request.unreader.buf.getbuffer().nbytes
            # A body in chunks has no length.
            if not begun and getattr(request.body.reader, "length", None) != 0:
                request.force_close()
                self.expecting = request

    def sendall(self, data: bytes) -> None:
        """As the connection does."""
        self.connection.sendall(data)

    def sendfile(self, file: IO[bytes], offset: int = 0, count: int = 0) -> None:
        """As the connection does."""
        self.connection.sendfile(file, offset, count)

    def setblocking(self, flag: bool) -> None:
        """As a socket does; one that blocks still has the connection's limit."""
        self.connection.sock.settimeout(self.connection.send_seconds if flag else 0.0)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection.sock, name)
