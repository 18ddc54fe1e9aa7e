"""What is still to come of a request whose head is plain."""

from __future__ import annotations

from gunicorn.http.body import Body, LengthReader
from gunicorn.http.unreader import SocketUnreader

from app.concurrency.client import TimedOut
from app.worker.connection import Connection


class Rest:
    """The body of a plain request that has not come as a whole yet."""

    def __init__(self, connection: Connection, begun: bytes, length: int, seconds: float) -> None:
        connection.limit(seconds)
        self._unreader = SocketUnreader(connection)
        self._unreader.unread(begun)
        self.body = Body(LengthReader(self._unreader, length))

    def skip(self) -> bytes | None:
        """Read what the application left. Returns what came behind it, or None when the rest did not come."""
        try:
            while not self.body.failed and self.body.read(65536):
                pass
        except TimedOut:
            return None
        return None if self.body.failed else self._unreader.take_buffered()
