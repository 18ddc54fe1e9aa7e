"""How a worker process serves its connections: plain requests in a loop of its own, all others in gunicorn's.

Before a request the loop decides by its head alone (``head.py``). A plain one is answered here; with the first that is
not, the connection is handed over to gunicorn's loop for good, with the bytes that were read.

What differs from gunicorn's gevent worker, in both lanes: a body that stops coming is given up after
``PLUMBLINE_BODY_TIMEOUT_SECONDS`` (408, where the application does not answer it itself), and so is a client that takes
nothing of its reply for so long; a TLS handshake may take as long as a connection may be idle; the time in which the
server itself stood still does not count; a worker that ends closes idle connections at once; a connection that always
has data lets the others have their turn; ``strictness.py`` refuses what the parser lets pass.

In the fast lane gunicorn's access log, ``pre_request`` and ``post_request`` do not exist: where they are configured,
as with TLS, the PROXY protocol, ``SCRIPT_NAME``, UNIX sockets or no keep-alive, every connection takes gunicorn's loop.
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
from gunicorn.config import PostRequest, PreRequest
from gunicorn.glogging import Logger
from gunicorn.http.message import Request
from gunicorn.http.wsgi import FileWrapper, _make_early_hints_callback
from gunicorn.sock import is_http2_negotiated
from gunicorn.util import write_error

from app.concurrency.client import TimedOut
from app.concurrency.forms import before_blocking
from app.config import load_settings
from app.worker.connection import Connection, TlsConnection
from app.worker.greenlets import GreenletWorker
from app.worker.handover import Handover
from app.worker.head import Head, Heads, application_is_mounted
from app.worker.outbox import Outbox
from app.worker.response import PlainResponse
from app.worker.rest import Rest
from app.worker.strictness import check

#: How often waits are looked at that have a deadline, and an ending worker closes what is idle.
SWEEP_SECONDS = 0.1
#: A client that sends requests faster than they are answered lets others go first. A sleep of 0 would not look at sockets.
TURN_SECONDS = 1e-6
#: A body up to this size (bytes) is read before the application is called; a larger one as it is asked for, and so is one
#: over ``PLUMBLINE_MAX_BODY_BYTES``, which the application refuses at once.
MOST_AT_ONCE = 1 << 20
CLIENT_GONE = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN)


class PlumblineWorker(GreenletWorker):
    """gunicorn's gevent worker with a fast lane."""

    alive: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connections: dict[Any, Connection] = {}
        self.body_seconds = math.inf
        self.most_at_once = MOST_AT_ONCE
        self.fast_lane = False
        self.tls: Any = None
        self._swept = math.inf
        self.outbox = Outbox()
        self._heads: dict[Any, Heads] = {}

    def run(self) -> None:
        """Serve until the worker is to end."""
        settings = load_settings()
        self.body_seconds = settings.body_timeout_seconds
        self.most_at_once = min(MOST_AT_ONCE, settings.max_body_bytes)
        self.fast_lane = self._has_fast_lane()
        loop = gevent.get_hub().loop
        # After what lies in the sockets: a request that came while the loop was held up is not late.
        sweep = loop.timer(SWEEP_SECONDS, SWEEP_SECONDS, priority=-1)
        sweep.start(self._sweep)
        try:
            with before_blocking(self.outbox.flush):
                super().run()
        finally:
            sweep.stop()
            sweep.close()

    def server_class(self, listener: Any, *, spawn: Any, ssl_context: Any = None, **_: Any) -> StreamServer:
        """Called by gunicorn for each listener. gevent's server would wait for a TLS handshake without a limit."""
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
                left = self._serve_plain(connection, listener, addr)
                if left is None:
                    return
                unread = left
            # gunicorn's HTTP/2 takes nothing but a TLS socket.
            http2 = is_http2_negotiated(connection.sock)
            super().handle(listener, connection.sock if http2 else Handover(connection, unread), addr)
        finally:
            del self.connections[greenlet]
            connection.close()

    def _handshake(self, connection: TlsConnection, addr: Any) -> bool:
        """Whether it succeeds, in time."""
        try:
            connection.handshake(self.tls, self.cfg.keepalive or self.body_seconds)
        except (OSError, TimedOut) as error:
            self.log.warning("TLS handshake with %s failed: %s", addr[0] if addr else "a client", error)
            return False
        return True

    @contextmanager
    def timeout_ctx(self) -> Iterator[None]:
        """Called by gunicorn around its wait for a request: one that does not come in time is none."""
        connection = self.connections[gevent.getcurrent()]
        connection.idle = True
        connection.limit(self.cfg.keepalive)
        try:
            with suppress(TimedOut):
                yield
        finally:
            connection.idle, connection.deadline = False, math.inf

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        """One request in gunicorn's own loop."""
        if isinstance(req, Request):
            check(req)
        connection: Connection = sock.connection
        connection.limit(self.body_seconds)
        sock.expect(req)
        try:
            super().handle_request(listener_name, req, sock, addr)
        finally:
            connection.served, connection.deadline = True, math.inf

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer what went wrong, as gunicorn does, and 408 for a body that did not come."""
        if not isinstance(exc, TimedOut):
            super().handle_error(req, client, addr, exc)
            return
        with suppress(OSError):
            write_error(client, 408, "Request Timeout", "The body did not arrive in time")

    def _serve_plain(self, connection: Connection, listener: Any, addr: tuple[Any, ...]) -> bytes | None:
        """Answer requests as long as they are plain. Returns the bytes of the first that is not, or None at the end."""
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
                connection.settle()
                if not data:
                    return None
                head = heads.find(data)
                if head is None:
                    return data
                left = self._answer(connection, head, own, data, addr)
                if left is None:
                    return None
                data = left
                if data:
                    gevent.sleep(TURN_SECONDS)
        except OSError as error:
            if error.errno not in CLIENT_GONE:
                self.log.exception("Socket error processing request.")
        return None

    def _answer(
        self, connection: Connection, head: Head, own: dict[str, Any], data: bytes, addr: tuple[Any, ...]
    ) -> bytes | None:
        """Answer the request that ``data`` begins with. Returns what came behind it, or None when it was the last."""
        end = head.size + head.content_length
        if len(data) < end and head.content_length <= self.most_at_once:
            data = self._complete(connection, data, end)
        rest = None
        body: Any
        if len(data) >= end:
            body, left = io.BytesIO(data[head.size : end]), data[end:]
        else:
            seconds = self.body_seconds if head.content_length > self.most_at_once else 0.0
            rest = Rest(connection, data[head.size :], head.content_length, seconds)
            body, left = rest.body, b""
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
                # Nothing can be said any more without being read as part of the reply.
                self.log.exception("Error handling request")
                with suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)
            else:
                self.handle_error(head, connection.sock, addr, error)
            return None
        connection.served = True
        closes = response.should_close()
        if rest is None and not closes:
            return left
        connection.settle()
        return None if closes or rest is None else rest.skip()

    def _complete(self, connection: Connection, data: bytes, end: int) -> bytes:
        """The request up to ``end``, or as much of it as comes in time."""
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
        # Nobody was listened to while the loop stood still.
        late, self._swept = now - self._swept - SWEEP_SECONDS, now
        for connection in list(self.connections.values()):
            if late > SWEEP_SECONDS:
                connection.deadline += late
            if not self.alive:
                connection.end_if_idle()
            connection.expire(now)

    def _has_fast_lane(self) -> bool:
        """Whether gunicorn's configuration asks for nothing that only its own loop does."""
        cfg = self.cfg
        return not (
            cfg.is_ssl
            or not cfg.keepalive
            or cfg.proxy_protocol not in (False, "off")
            or application_is_mounted()
            or self.log.access_log.handlers
            or type(self.log).access is not Logger.access
            or cfg.pre_request is not PreRequest.default
            or cfg.post_request is not PostRequest.default
        )
