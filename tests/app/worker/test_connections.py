"""Connections over time, in both lanes: slow, silent and greedy clients, and workers that shut down."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.worker.serving import OURS, Serving, read_reply, serving
from tests.conftest import LONG_SECONDS, wait_until

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
#: HTTP/1.0 is never plain, so gunicorn's loop serves a connection that begins with it.
STOCK_GET = b"GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"
FIRST = {"fast": GET, "stock": STOCK_GET}
LANES = sorted(FIRST)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Start one worker with long time limits."""
    with serving(OURS, tmp_path_factory.mktemp("server")) as started:
        yield started


KEEPALIVE_SECONDS, BODY_SECONDS = 3, 2


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Start one worker with short time limits."""
    directory = tmp_path_factory.mktemp("strict")
    env = {"PLUMBLINE_BODY_TIMEOUT_SECONDS": str(BODY_SECONDS)}
    with serving(OURS, directory, f"keepalive = {KEEPALIVE_SECONDS}", **env) as started:
        yield started


def ask(client: socket.socket, request: bytes = GET) -> tuple[bytes, dict[str, object]]:
    """Return the reply's head, and the environ that the echo application got."""
    client.sendall(request)
    head, body, rest = read_reply(client)
    assert not rest
    return head, json.loads(body)


def is_closed(client: socket.socket) -> None:
    """Wait until the server closes the connection without a reply."""
    assert client.recv(1000) == b""


def drip(client: socket.socket, piece: bytes) -> bool:
    """Return whether the connection ends although the client keeps sending."""
    until = time.monotonic() + LONG_SECONDS
    try:
        while time.monotonic() < until:
            client.sendall(piece)
            time.sleep(0.1)
    except OSError:
        return True
    return False


@pytest.mark.parametrize("lane", LANES)
def test_the_lane_is_the_one_that_the_first_request_chooses(server: Serving, lane: str) -> None:
    with server.connect() as client:
        for _ in range(3):
            assert ask(client, FIRST[lane])[1]["lane"] == lane
        assert ask(client, GET)[1]["lane"] == lane, "what was handed over stays there"


@pytest.mark.parametrize("lane", LANES)
def test_a_silent_connection_is_closed_after_the_keep_alive_time(strict: Serving, lane: str) -> None:
    with strict.connect() as client:
        began = time.monotonic()
        ask(client, FIRST[lane])
        is_closed(client)
        assert time.monotonic() - began > KEEPALIVE_SECONDS * 0.8


def test_a_head_that_does_not_end_is_given_up_after_the_keep_alive_time(strict: Serving) -> None:
    with strict.connect() as client:
        assert drip(client, b"G")


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("sent", [b"", b"12345"])
def test_a_body_that_does_not_come_is_408_and_the_end(strict: Serving, lane: str, sent: bytes) -> None:
    with strict.connect() as client:
        ask(client, FIRST[lane])
        began = time.monotonic()
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n" + sent)
        head, _, _ = read_reply(client)
        assert head.startswith(b"HTTP/1.1 408")
        assert time.monotonic() - began > BODY_SECONDS * 0.8
        is_closed(client)


@pytest.mark.parametrize("lane", LANES)
def test_a_body_that_drips_is_given_up_as_well(strict: Serving, lane: str) -> None:
    with strict.connect() as client:
        ask(client, FIRST[lane])
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        assert drip(client, b"x")


@pytest.mark.parametrize("lane", LANES)
def test_a_body_may_come_late_and_in_pieces(server: Serving, lane: str) -> None:
    with server.connect() as client:
        ask(client, FIRST[lane])
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
        for piece in (b"0123", b"456", b"789" + GET):
            wait_until(lambda: server.unread(client) == 0)
            client.sendall(piece)
        _, body, rest = read_reply(client)
        assert json.loads(body)["body"] == "0123456789"
        _, body, rest = read_reply(client, rest)
        assert json.loads(body)["REQUEST_METHOD"] == "GET"


@pytest.mark.parametrize("lane", LANES)
def test_who_always_has_data_does_not_starve_others(server: Serving, lane: str) -> None:
    """Two clients send thousands of requests while the worker is stopped, and others one each.

    The single requests are answered first.
    """
    many, request = 3000, b"GET /unread HTTP/1.1\r\nHost: x\r\n\r\n"
    (worker,) = server.workers()
    clients = [server.connect() for _ in range(4)]
    try:
        for client in clients:
            ask(client, FIRST[lane])
        # The event loop may begin at either end of its list; in both cases a client with one request comes
        # last.
        first, *floods, last = clients
        before = served(first)
        os.kill(worker, signal.SIGSTOP)
        for flood in floods:
            flood.sendall(request * many)
        for client in (first, last):
            client.sendall(SERVED)
        os.kill(worker, signal.SIGCONT)
        for client in (first, last):
            assert int(read_reply(client)[1]) - before < many / 2
    finally:
        os.kill(worker, signal.SIGCONT)
        for client in clients:
            client.close()


SERVED = b"GET /served HTTP/1.1\r\nHost: x\r\n\r\n"


def served(client: socket.socket) -> int:
    """Return how many requests the worker has answered."""
    client.sendall(SERVED)
    return int(read_reply(client)[1])


@pytest.mark.parametrize("lane", LANES)
def test_what_came_while_the_worker_was_held_up_is_answered(strict: Serving, lane: str) -> None:
    """One request computes for longer than the keep-alive time, while requests of idle clients arrive."""
    idle = [strict.connect() for _ in range(10)]
    try:
        for client in idle:
            client.sendall(FIRST[lane])
        for client in idle:
            assert b" 200 OK" in read_reply(client)[0]
        with strict.connect() as busy:
            busy.sendall(b"GET /spin?%d HTTP/1.1\r\nHost: x\r\n\r\n" % (KEEPALIVE_SECONDS + 1))
            received = b""
            while not received.endswith(b"spin"):
                received += busy.recv(1000)
            for client in idle:
                client.sendall(GET)
            assert busy.recv(1000) == b"spun"
        for client in idle:
            assert read_reply(client)[0].startswith(b"HTTP/1.1 200")
    finally:
        for client in idle:
            client.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("lane", LANES)
def test_a_worker_that_ends_closes_idle_connections_and_finishes_requests(
    tmp_path: Path, number: signal.Signals, lane: str
) -> None:
    """Idle connections close before their keep-alive time is over, and a request in progress is answered."""
    with (
        serving(OURS, tmp_path) as server,
        server.connect() as idle,
        server.connect() as busy,
    ):
        ask(idle, FIRST[lane])
        ask(busy, FIRST[lane])
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
        busy.sendall(head + b"ab")
        wait_until(lambda: server.unread(busy) == 0)
        server.process.send_signal(number)
        is_closed(idle)
        busy.sendall(b"c")
        said, body, _ = read_reply(busy)
        assert said.startswith(b"HTTP/1.1 200")
        assert lane == "stock" or b"Connection: close" in said
        assert json.loads(body)["body"] == "abc"
        is_closed(busy)
        if number == signal.SIGHUP:
            with server.connect() as again:
                ask(again, FIRST[lane])
        else:
            assert server.process.wait(timeout=LONG_SECONDS) == 0


def test_a_client_that_leaves_in_the_middle_harms_nobody(server: Serving) -> None:
    for sent in (b"", b"GE", GET, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n123", GET * 200):
        for _ in range(5):
            with server.connect() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.sendall(sent)
    with server.connect() as client:
        ask(client)
    assert "Traceback" not in server.log


@pytest.mark.parametrize(
    "conf",
    [
        "accesslog = '-'",
        "def pre_request(worker, req): pass",
        "def post_request(worker, req, environ, resp): pass",
        "raw_env = ['SCRIPT_NAME=/x']\nimport os; os.environ['SCRIPT_NAME'] = ''",
        "proxy_protocol = 'auto'",
        "keepalive = 0",
    ],
)
def test_what_only_gunicorn_does_is_left_to_gunicorn(tmp_path: Path, conf: str) -> None:
    with serving(OURS, tmp_path, conf) as server, server.connect() as client:
        path = b"/x/" if "SCRIPT_NAME" in conf else b"/"
        assert ask(client, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")[1]["lane"] == "stock"


def test_a_worker_ends_after_its_number_of_requests(tmp_path: Path) -> None:
    with serving(OURS, tmp_path, "max_requests = 5") as server:
        for _ in range(30):
            deadline = time.monotonic() + LONG_SECONDS
            while True:
                try:
                    with server.connect() as client:
                        ask(client)
                    break
                except (OSError, AssertionError, ValueError):
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
        assert "Autorestarting worker" in server.log


def test_many_connections_at_once(server: Serving) -> None:
    clients = [server.connect() for _ in range(300)]
    try:
        for client in clients:
            client.sendall(GET)
        for client in clients:
            assert read_reply(client)[0].startswith(b"HTTP/1.1 200")
    finally:
        for client in clients:
            client.close()


def test_what_proxies_say_takes_the_fast_lane_where_gunicorn_is_told_to_ignore_it(tmp_path: Path) -> None:
    with serving(OURS, tmp_path, "secure_scheme_headers = {}") as server, server.connect() as client:
        for said in (
            b"X-Forwarded-Proto: https\r\nX-Forwarded-Protocol: https\r\n",
            b"X-Forwarded-Ssl: on\r\n",
        ):
            told = ask(client, b"GET / HTTP/1.1\r\nHost: x\r\n" + said + b"\r\n")[1]
            assert (told["lane"], told["wsgi.url_scheme"]) == ("fast", "http")
