"""Plumbline behind both worker classes: replies to requests that are not plain and to headers of proxies."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from models.store import Store
from tests.app.worker.serving import read_reply
from tests.conftest import LONG_SECONDS
from tests.end_to_end.server import Server

TOKEN = "x" * 32
BODY = b'{"features": [5.1, 3.5, 1.4, 0.2]}'
JSON = b"Content-Type: application/json\r\n"
MAX_BYTES, SLOTS = 2048, 4
SECONDS = 3


@pytest.fixture(scope="module", params=["plumbline", "gevent"])
def worker_class(request: pytest.FixtureRequest) -> str:
    """Plumbline's worker class and gunicorn's."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def server(worker_class: str, toy_store: Store) -> Iterator[Server]:
    """Start one worker with low limits and an admin token."""
    env = {
        "PLUMBLINE_WORKER_CLASS": worker_class,
        "PLUMBLINE_MAX_BODY_BYTES": str(MAX_BYTES),
        "PLUMBLINE_BODY_TIMEOUT_SECONDS": str(SECONDS),
        "PLUMBLINE_ADMIN_TOKEN": TOKEN,
        "PLUMBLINE_WORKER_CONNECTIONS": str(SLOTS),
        "PLUMBLINE_DEFAULT_MODEL": "iris",
    }
    with Server(toy_store.path, **env) as running:
        yield running


def connect(server: Server, receive_bytes: int = 0) -> socket.socket:
    client = socket.socket()
    client.settimeout(LONG_SECONDS)
    if receive_bytes:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    client.connect(("127.0.0.1", server.port))
    return client


def ask(server: Server, sent: bytes) -> tuple[int, bytes]:
    """Return status and body of the reply."""
    with connect(server) as client:
        client.sendall(sent)
        head, body, _ = read_reply(client)
    return int(head.split(b" ")[1]), body


def get(path: str, more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n{more}\r\n".encode()


@pytest.mark.parametrize("more", ["", "X_A: 1\r\n"])
def test_a_path_with_more_slashes_is_another_path(server: Server, more: str) -> None:
    """A proxy that guards /admin would let such a path pass. In both lanes."""
    for path in ("/admin/workers", "/health", "/models/iris"):
        assert ask(server, get(path, more))[0] == 200, path
        for other in (f"/{path}", f"//{path}", f"/%2f{path[1:]}", f"/%2F{path}", f"//x{path}", f"/.{path}"):
            status, body = ask(server, get(other, more))
            assert (status, json.loads(body)["status"]) == (404, 404), other
        assert ask(server, get(f"http://x{path}", more))[0] == 200
        assert ask(server, get(f"http://x/{path}", more))[0] == 404
    for path in ("/models//iris", "/admin//workers", "/health/", "/models/iris//"):
        assert ask(server, get(path, more))[0] == 404, path


def test_what_proxies_say_changes_nothing_and_is_never_contradictory(server: Server) -> None:
    """No proxy is trusted, not even on this host, unless PLUMBLINE_PROXY_HOPS is set."""
    for said in (
        "X-Forwarded-Proto: http\r\n",
        "X-Forwarded-Proto: https\r\n",
        "X-Forwarded-Proto: https\r\nX-Forwarded-Protocol: https\r\n",
        "X-Forwarded-Proto: http\r\nX-Forwarded-Ssl: on\r\n",
        "X-Forwarded-Prefix: /x\r\nX-Forwarded-Host: y\r\nForwarded: proto=https\r\n",
    ):
        status, body = ask(server, get("/", f"Accept: application/json\r\n{said}"))
        assert (status, body) == ask(server, get("/", "Accept: application/json\r\n")), said
        assert status == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /health HTTP/1.1\r\n\r\n", b"HTTP/1.1 400"),
        (b"GET /health HTTP/1.1\r\nHost: a b\r\n\r\n", b"HTTP/1.1 400"),
        (
            b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 501",
        ),
        (b"GET /health HTTP/1.2\r\nHost: x\r\n\r\n", b"HTTP/1.1 200"),
    ],
)
def test_what_the_parser_lets_pass_is_refused(server: Server, sent: bytes, status: bytes) -> None:
    with connect(server) as client:
        client.sendall(sent)
        assert read_reply(client)[0].startswith(status)


@pytest.mark.parametrize(
    ("path", "said", "length", "status"),
    [
        (b"/predict", JSON, MAX_BYTES + 1, b"413"),
        (b"/predict", JSON, 999_999_999, b"413"),
        (b"/predict", JSON, 9_999_999_999_999, b"413"),
        (b"/models/iris/predict/batch", JSON, MAX_BYTES + 1, b"413"),
        (b"/predict", b"Content-Type: text/plain\r\n", len(BODY), b"415"),
        (b"/predict", b"", len(BODY), b"415"),
        (b"/predict", JSON + b"Content-Encoding: br\r\n", len(BODY), b"415"),
        (b"/nothing", JSON, len(BODY), b"404"),
        (b"/health", JSON, len(BODY), b"405"),
    ],
)
def test_a_body_that_is_refused_is_not_asked_for(
    server: Server, worker_class: str, path: bytes, said: bytes, length: int, status: bytes
) -> None:
    """gunicorn's own worker sends "100 Continue" to every client before it calls the application."""
    with connect(server) as client:
        client.sendall(
            b"POST %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n%sContent-Length: %d\r\n\r\n"
            % (path, said, length)
        )
        if worker_class == "gevent":
            assert client.recv(12) == b"HTTP/1.1 100"
            return
        head, _, _ = read_reply(client)
        assert head.startswith(b"HTTP/1.1 " + status), head
        assert b"Connection: close" in head


@pytest.mark.parametrize("more", [b"", b"X_A: 1\r\n"])
def test_a_body_that_is_too_large_is_refused_before_it_comes(server: Server, more: bytes) -> None:
    """In both lanes, and the connection continues once the body has arrived."""
    with connect(server) as client:
        client.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\n%s%sContent-Length: %d\r\n\r\n"
            % (more, JSON, MAX_BYTES + 1)
        )
        assert read_reply(client)[0].startswith(b"HTTP/1.1 413")
        client.sendall(b" " * (MAX_BYTES + 1) + get("/health"))
        assert read_reply(client)[0].startswith(b"HTTP/1.1 200")


def test_a_pause_of_the_server_is_not_the_client_s(server: Server) -> None:
    """A third of the body arrives before the pause, one during it, and one after it."""
    with connect(server) as client:
        client.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n" % (JSON, len(BODY))
        )
        client.sendall(BODY[:10])
        time.sleep(0.3)
        (worker,) = server.workers()
        os.kill(worker, signal.SIGSTOP)
        try:
            client.sendall(BODY[10:20])
            time.sleep(SECONDS + 1)
        finally:
            os.kill(worker, signal.SIGCONT)
        time.sleep(0.3)
        client.sendall(BODY[20:])
        assert read_reply(client)[0].startswith(b"HTTP/1.1 200")


def test_clients_that_read_nothing_leave_their_slots_to_others(server: Server) -> None:
    """There are more of them than slots, and each asks for more than a connection's buffers hold."""
    with ExitStack() as stack:
        for _ in range(SLOTS + 2):
            client = stack.enter_context(connect(server, 4096))
            client.setblocking(False)
            with suppress(BlockingIOError):
                for _ in range(5_000):
                    client.send(get("/openapi.json"))
        assert ask(server, get("/health"))[0] == 200
