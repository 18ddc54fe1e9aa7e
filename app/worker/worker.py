"""The worker class: it serves plain requests in a loop of its own and all others in gunicorn's loop.

The loop looks at the head of each request (``head.py``). It answers a plain request itself. At the first
request that is not plain it hands the connection over to gunicorn's loop for good, together with the bytes
that were read.

Both lanes differ from gunicorn's gevent worker in these points:

- A body that stops arriving is given up after ``PLUMBLINE_BODY_TIMEOUT_SECONDS``, with a 408 unless the
  application replies itself. The same limit holds for a client that stops reading its reply.
- A TLS handshake may take as long as a connection may be idle.
- Time in which the event loop was blocked does not count towards a limit.
- A worker that shuts down closes idle connections at once.
- A connection that always has data yields to the other connections.
- ``strictness.py`` refuses requests that gunicorn's parser accepts.

The fast lane has no access log of gunicorn's, no ``pre_request`` and no ``post_request``. Where one of them
is configured, or TLS, the PROXY protocol, ``SCRIPT_NAME``, a UNIX socket or no keep-alive, gunicorn's loop
serves every connection.
"""

from __future__ import annotations

import errno
import io
import math
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import gevent
from gevent.server import StreamServer
from gunicorn.http.message import Request
from gunicorn.http.wsgi import FileWrapper, _make_early_hints_callback
from gunicorn.sock import is_http2_negotiated
from gunicorn.util import write_error

from app.concurrency.forms import before_blocking
from app.concurrency.time_limit import TimedOut
from app.config import load_settings
from app.worker.body import StreamedBody
from app.worker.connection import Connection, Outbox, TlsConnection
from app.worker.greenlets import GreenletWorker
from app.worker.handover import Handover
from app.worker.head import Head, Heads, has_fast_lane
from app.worker.response import PlainResponse
from app.worker.strictness import check

#: How often deadlines are checked, and idle connections of a worker that shuts down are closed.
SWEEP_SECONDS = 0.1
#: The pause of a connection with pipelined requests. It is not 0, because a sleep of 0 does not poll the
#: sockets.
YIELD_SECONDS = 1e-6
#: The largest body in bytes that is read before the application is called. The application reads a larger one
#: itself, and also one over ``PLUMBLINE_MAX_BODY_BYTES``, so that it can refuse it without reading.
MAX_BUFFERED_BYTES = 1 << 20
#: Errors of a socket whose client has left; they are not logged.
CLIENT_GONE = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN)


class PlumblineWorker(GreenletWorker):
    """gunicorn's gevent worker with a fast lane."""

    alive: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connections: dict[Any, Connection] = {}
        self.body_seconds = math.inf
        self.max_buffered_bytes = MAX_BUFFERED_BYTES
        self.fast_lane = False
        self.tls: Any = None
        self._swept_at = math.inf
        self.outbox = Outbox()
        self._heads: dict[Any, Heads] = {}

    def run(self) -> None:
        """Serve until the worker is told to shut down."""
        settings = load_settings()
        self.body_seconds = settings.body_timeout_seconds
        self.max_buffered_bytes = min(MAX_BUFFERED_BYTES, settings.max_body_bytes)
        self.fast_lane = has_fast_lane(self.cfg, self.log)
        loop = gevent.get_hub().loop
        # The low priority runs the sweep after pending reads: bytes that arrived while the loop was blocked
        # are in time.
        sweep = loop.timer(SWEEP_SECONDS, SWEEP_SECONDS, priority=-1)
        sweep.start(self._sweep)
        try:
            with before_blocking(self.outbox.flush):
                super().run()
        finally:
            sweep.stop()
            sweep.close()

    def server_class(self, listener: Any, *, spawn: Any, ssl_context: Any = None, **_: Any) -> StreamServer:
        """Create the server of one listener; gunicorn calls this.

        TLS is left to ``handle``, because gevent's server waits for a handshake without a limit.
        """
        self.tls = ssl_context
        server = StreamServer(listener, handle=partial(self.handle, listener), spawn=spawn)
        if self.cfg.workers > 1:
            server.max_accept = 1
        return server

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve one connection to its end."""
        connection = (Connection if self.tls is None else TlsConnection)(client, self.body_seconds)
        greenlet = gevent.getcurrent()
        self.connections[greenlet] = connection
        try:
            unread = b""
            if isinstance(connection, TlsConnection):
                if not self._handshake(connection, addr):
                    return
            elif self.fast_lane and isinstance(addr, tuple):
                rest = self._serve_plain(connection, listener, addr)
                if rest is None:
                    return
                unread = rest
            # gunicorn's HTTP/2 needs the TLS socket itself.
            http2 = is_http2_negotiated(connection.sock)
            super().handle(listener, connection.sock if http2 else Handover(connection, unread), addr)
        finally:
            del self.connections[greenlet]
            connection.close()

    def _handshake(self, connection: TlsConnection, addr: Any) -> bool:
        """Perform the TLS handshake; return whether it succeeded in time."""
        try:
            connection.handshake(self.tls, self.cfg.keepalive or self.body_seconds)
        except (OSError, TimedOut) as error:
            self.log.warning("TLS handshake with %s failed: %s", addr[0] if addr else "a client", error)
            return False
        return True

    @contextmanager
    def timeout_ctx(self) -> Iterator[None]:
        """Limit gunicorn's wait for a request; after a wait that timed out gunicorn ends the connection."""
        connection = self.connections[gevent.getcurrent()]
        connection.idle = True
        connection.limit(self.cfg.keepalive)
        try:
            with suppress(TimedOut):
                yield
        finally:
            connection.idle, connection.deadline = False, math.inf

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        """Answer one request in gunicorn's own loop."""
        if isinstance(req, Request):
            check(req)
        connection: Connection = sock.connection
        connection.limit(self.body_seconds)
        sock.expect(req)
        try:
            super().handle_request(listener_name, req, sock, addr)
        finally:
            connection.has_replied, connection.deadline = True, math.inf

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Send gunicorn's error page for ``exc``, or 408 for a body that did not arrive."""
        if not isinstance(exc, TimedOut):
            super().handle_error(req, client, addr, exc)
            return
        with suppress(OSError):
            write_error(client, 408, "Request Timeout", "The body did not arrive in time")

    def _serve_plain(self, connection: Connection, listener: Any, addr: tuple[Any, ...]) -> bytes | None:
        """Answer requests as long as they are plain.

        Returns the bytes of the first request that is not plain, or None when the connection has ended.
        """
        server = listener.getsockname()
        heads = self._heads.get(server) or self._heads.setdefault(server, Heads(self.cfg, server))
        keepalive_seconds = self.cfg.keepalive
        own = {
            "REMOTE_ADDR": addr[0],
            "REMOTE_PORT": str(addr[1]),
            "gunicorn.socket": connection,
        }
        data = b""
        try:
            while True:
                data = data or connection.next_request(keepalive_seconds)
                connection.flush()
                if not data:
                    return None
                head = heads.find(data)
                if head is None:
                    return data
                rest = self._answer(connection, head, own, data, addr)
                if rest is None:
                    return None
                data = rest
                if data:
                    gevent.sleep(YIELD_SECONDS)
        except OSError as error:
            if error.errno not in CLIENT_GONE:
                self.log.exception("Socket error processing request.")
        return None

    def _answer(
        self, connection: Connection, head: Head, own: dict[str, Any], data: bytes, addr: tuple[Any, ...]
    ) -> bytes | None:
        """Answer the request at the beginning of ``data``.

        Returns the bytes that follow it, or None when the connection ends after it.
        """
        end = head.size + head.content_length
        if len(data) < end and head.content_length <= self.max_buffered_bytes:
            data = self._complete(connection, data, end)
        streamed = None
        body: Any
        if len(data) >= end:
            body, rest = io.BytesIO(data[head.size : end]), data[end:]
        else:
            seconds = self.body_seconds if head.content_length > self.max_buffered_bytes else 0.0
            streamed = StreamedBody(connection, data[head.size :], head.content_length, seconds)
            body, rest = streamed.body, b""
        response = PlainResponse(head, connection, self.cfg)
        environ = head.environ.copy()
        environ.update(own)
        environ["wsgi.input"] = body
        environ["wsgi.early_hints"] = _make_early_hints_callback(head, connection, response)
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False
        try:
            self._respond(environ, response, connection)
        except (OSError, gevent.GreenletExit):
            raise
        except (Exception, SystemExit) as error:
            if response.headers_sent:
                # The client would read an error page as part of the reply that was begun.
                self.log.exception("Error handling request")
                with suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)
            else:
                self.handle_error(head, connection.sock, addr, error)
            return None
        connection.has_replied = True
        closes = response.should_close()
        if streamed is None and not closes:
            return rest
        connection.flush()
        return None if closes or streamed is None else streamed.skip()

    def _complete(self, connection: Connection, data: bytes, end: int) -> bytes:
        """Return the request up to byte ``end``, or as much of it as arrives in time."""
        connection.limit(self.body_seconds)
        parts, missing = [data], end - len(data)
        with suppress(TimedOut):
            while missing > 0 and (part := connection.recv()):
                parts.append(part)
                missing -= len(part)
        return b"".join(parts)

    def _respond(self, environ: dict[str, Any], response: PlainResponse, connection: Connection) -> None:
        answer = self.wsgi(environ, response.start_response)
        if not self.alive:
            response.force_close()
        try:
            reply = response.whole(answer)
            if reply is not None:
                self.outbox.put(connection, reply)
                return
            if isinstance(answer, FileWrapper):
                response.write_file(answer)
            else:
                for item in answer:
                    response.write(item)
            response.close()
        finally:
            if hasattr(answer, "close"):
                answer.close()

    def _sweep(self) -> None:
        now = gevent.get_hub().loop.now()
        # While the loop was blocked, no client could be read: every deadline moves by that time.
        late, self._swept_at = now - self._swept_at - SWEEP_SECONDS, now
        for connection in list(self.connections.values()):
            if late > SWEEP_SECONDS:
                connection.deadline += late
            if not self.alive:
                connection.end_if_idle()
            connection.expire(now)
