"""Tests with generated bodies: each gets a prediction or a problem, and the next request is served."""

from __future__ import annotations

import io
import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from flask import Flask
from hypothesis import note
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder, run_wsgi_app

from models.store import Store
from tests.conftest import LONG_SECONDS, MakeApp
from tests.end_to_end.server import Server
from tests.generated import JSON, LIMIT, Request, requests
from tests.lengths import in_two_lengths, try_examples

#: Of a thousand bodies at least so many get each status.
AT_LEAST_OF_A_THOUSAND = 5
STATUSES = {200, 400, 404, 405, 413, 415, 422}

GOOD = b'{"features": [5.1, 3.5, 1.4, 0.2]}'
#: To a model that costs nothing, because it is asked after every body.
NEXT = Request("/models/odd/predict", b'{"features": [1, 1, 1, 1, 1, 1, 1]}')
ENVIRON = EnvironBuilder().get_environ()

SLOW_CLIENTS = 120
BODY_TIMEOUT_SECONDS = 4.0


@pytest.fixture(scope="module")
def fuzzed(make_app: MakeApp, toy_store: Store) -> Flask:
    return make_app(toy_store, max_body_bytes=LIMIT, access_log=False)


@in_two_lengths(1500, 10_000)
def test_every_body_gets_an_answer_and_the_next_one_too(fuzzed: Flask, examples: int) -> None:
    """A model's schema gives 200 and 422; earlier steps give all other statuses."""
    seen: Counter[int] = Counter()

    def ask(request: Request) -> None:
        status, headers, body = send(fuzzed, request)
        seen[status] += 1
        note(f"{status} {body!r}")
        check(request, status, headers, body)
        status, _, body = send(fuzzed, NEXT)
        assert status == 200
        assert b'"prediction":28.0' in body

    try_examples(examples, ask, request=requests())
    assert sum(seen.values()) >= examples
    assert seen[200] + seen[422] >= examples / 2
    assert set(seen) == STATUSES
    assert min(seen.values()) >= AT_LEAST_OF_A_THOUSAND * examples / 1000, seen


def check(request: Request, status: int, headers: Headers, body: bytes) -> None:
    """Assert that a reply is a prediction, a page or a problem, and not a fault of the server."""
    assert status in STATUSES
    if status == 200:
        assert request.method == "OPTIONS" or headers["Content-Type"] == JSON
        return
    assert headers["Content-Type"] == "application/problem+json"
    told = json.loads(body)
    assert told["status"] == status
    assert told["request_id"] == headers["X-Request-Id"]
    assert bool(told.get("errors")) == (status == 422)


def send(app: Flask, request: Request) -> tuple[int, Headers, bytes]:
    """Call the application as gunicorn does; a test client would take longer than the server."""
    environ = {
        **ENVIRON,
        "REQUEST_METHOD": request.method,
        "PATH_INFO": request.path.encode().decode("latin-1"),
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.input_terminated": True,
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in request.headers.items()},
    }
    if request.media_type is not None:
        environ["CONTENT_TYPE"] = request.media_type
    if request.chunked:
        environ["HTTP_TRANSFER_ENCODING"] = "chunked"
    else:
        environ["CONTENT_LENGTH"] = str(len(request.body))
    body, status, headers = run_wsgi_app(app, environ)
    return int(status[:3]), headers, b"".join(body)


# -- bodies that do not arrive, which takes a real server -------------------------------------------------------


@pytest.fixture(scope="module")
def server(toy_store: Store) -> Iterator[Server]:
    with Server(toy_store.path, PLUMBLINE_BODY_TIMEOUT_SECONDS=str(BODY_TIMEOUT_SECONDS)) as running:
        yield running


def head(framing: str) -> bytes:
    """Return the head of a prediction request with this framing of its body."""
    return f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON}\r\n{framing}\r\n\r\n".encode()


#: What a slow client sends at once, and what it adds again and again.
SLOW = [
    (head(f"Content-Length: {len(GOOD)}"), b""),
    (head(f"Content-Length: {len(GOOD)}") + GOOD[:-1], b""),
    (head("Content-Length: 4000") + GOOD, b" "),
    (head("Transfer-Encoding: chunked"), b""),
    (head("Transfer-Encoding: chunked") + b"5\r\n" + GOOD[:3], b""),
    (head("Transfer-Encoding: chunked") + b"5\r\n" + GOOD[:5] + b"\r\n", b"1\r\n \r\n"),
]


def test_slow_bodies_are_408_while_others_are_served(server: Server) -> None:
    with ExitStack() as open_sockets:
        clients = [
            open_sockets.enter_context(
                socket.create_connection(("127.0.0.1", server.port), timeout=LONG_SECONDS)
            )
            for _ in range(SLOW_CLIENTS)
        ]
        # Nothing is sent any more well before the first of them is given up: it would be an error of the connection.
        last = time.monotonic() + BODY_TIMEOUT_SECONDS / 4
        for i, client in enumerate(clients):
            client.sendall(SLOW[i % len(SLOW)][0])
        while time.monotonic() < last:
            for i, client in enumerate(clients):
                client.sendall(SLOW[i % len(SLOW)][1])
            assert server.post("/predict", GOOD).json()["prediction"] == 0
        assert server.post("/predict", GOOD).json()["prediction"] == 0
        replies = [read_reply(client) for client in clients]
    seen = Counter(status for status, _, _ in replies)
    assert seen == {408: SLOW_CLIENTS}
    for _, headers, body in replies:
        assert headers["content-type"] == "application/problem+json"
        told = json.loads(body)
        assert told["status"] == 408
        assert told["request_id"] == headers["x-request-id"]
        assert f"within {BODY_TIMEOUT_SECONDS:g} seconds" in told["detail"]
    assert server.post("/predict", GOOD).json()["prediction"] == 0
    assert "Traceback" not in server.errors
    lines = server.access_log(lambda lines: [line["status"] for line in lines].count(408) >= SLOW_CLIENTS)
    assert [line["status"] for line in lines].count(408) == SLOW_CLIENTS


def test_what_comes_of_a_body_after_its_408_is_no_request(server: Server) -> None:
    """The rest of a late body may look like a request, but must not be answered as one."""
    hidden = b"GET /models HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=LONG_SECONDS) as client:
        client.sendall(head(f"Content-Length: {len(hidden)}"))
        assert read_reply(client)[0] == 408
        try:
            client.sendall(hidden)
            after = client.recv(65536)
        except OSError:
            after = b""
    assert b"200 OK" not in after
    assert server.post("/predict", GOOD).json()["prediction"] == 0


@pytest.mark.parametrize(
    "sent",
    [
        head(f"Content-Length: {len(GOOD) + 10}") + GOOD,
        head("Content-Length: 20") + GOOD[:10],
        head("Transfer-Encoding: chunked") + b"5\r\n" + GOOD[:5] + b"\r\n",
        head("Transfer-Encoding: chunked") + b"zz\r\n" + GOOD,
        head("Transfer-Encoding: chunked") + b"-5\r\n" + GOOD,
        head("Transfer-Encoding: chunked") + b"5\r\n" + GOOD,
        head("Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\nbad trailer\r\n\r\n",
    ],
)
def test_a_body_cut_short_or_badly_framed_is_400(server: Server, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=LONG_SECONDS) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        status, headers, body = read_reply(client)
    assert (status, headers["content-type"]) == (400, "application/problem+json")
    assert "is incomplete" in json.loads(body)["detail"]
    assert "Traceback" not in server.errors


def received_from(client: socket.socket) -> bytes:
    """Return the next bytes; the server must not close before its reply is complete."""
    data = client.recv(65536)
    assert data, "the connection was closed"
    return data


def read_reply(client: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Return one complete reply: status, headers with lower-case names, body."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += received_from(client)
    start, _, body = received.partition(b"\r\n\r\n")
    first, *lines = start.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    while len(body) < int(headers["content-length"]):
        body += received_from(client)
    return int(first.split()[1]), headers, body
