"""The body of a plain request that did not arrive together with its head."""

from __future__ import annotations

from gunicorn.http.body import Body, LengthReader
from gunicorn.http.unreader import SocketUnreader

from app.concurrency.time_limit import TimedOut
from app.worker.connection import Connection


class StreamedBody:
    """A body that the application reads from the connection while it arrives."""

    def __init__(self, connection: Connection, begun: bytes, length: int, seconds: float) -> None:
        """Wrap a body of ``length`` bytes, of which ``begun`` has arrived.

        The rest has ``seconds`` to arrive.
        """
        connection.limit(seconds)
        self._unreader = SocketUnreader(connection)
        self._unreader.unread(begun)
        #: The file-like object for ``wsgi.input``.
        self.body = Body(LengthReader(self._unreader, length))

    def skip(self) -> bytes | None:
        """Read what the application left unread.

        Returns the bytes that follow the body, or None when the body did not arrive completely.
        """
        try:
            while not self.body.failed and self.body.read(65536):
                pass
        except TimedOut:
            return None
        return None if self.body.failed else self._unreader.take_buffered()
