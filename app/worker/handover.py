"""A connection as the socket that gunicorn's own loop serves."""

from __future__ import annotations

from typing import IO, Any

from app.worker.connection import Connection


class Handover:
    """Gives back what was read already, then reads on."""

    #: As its connection.
    timed = True

    def __init__(self, connection: Connection, unread: bytes) -> None:
        self.connection = connection
        self._unread = unread

    def recv(self, size: int) -> bytes:
        """As a socket does; raises TimedOut at the connection's deadline."""
        data, self._unread = self._unread[:size], self._unread[size:]
        if not data:
            data = self.connection.recv(size)
        self.connection.idle = False
        return data

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
