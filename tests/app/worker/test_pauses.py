"""Time in which the server was stopped or its machine slept does not count towards clients' time limits."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

import pytest

from tests.app.worker.serving import OURS, Serving, certified, read_reply, serving
from tests.conftest import LONG_SECONDS

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
#: The first request of a connection, which decides its lane.
FIRST = {"fast": GET, "stock": b"GET / HTTP/1.1\r\nHost: x\r\nX_A: 1\r\n\r\n", "tls": GET}
#: Longer than any limit of these servers.
PAUSE_SECONDS = 6.0
SECONDS = 4

#: A client's acts before a pause, during it (from the first yield on) and after it (from the second one on).
Case = Callable[[socket.socket], Iterator[None]]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Serving]]:
    """Start a worker for each lane, with the same limit for bodies and for idle connections."""
    directory = tmp_path_factory.mktemp("servers")
    lines, tls = certified(directory)
    conf, env = f"keepalive = {SECONDS}\n", {"PLUMBLINE_BODY_TIMEOUT_SECONDS": str(SECONDS)}
    with (
        serving(OURS, directory, conf, **env) as plain,
        serving(OURS, directory, conf + lines, tls=tls, **env) as secure,
    ):
        yield {"fast": plain, "stock": plain, "tls": secure}


@contextmanager
def stopped(servers: list[Serving]) -> Iterator[None]:
    """Stop the workers while the block runs."""
    workers = {worker for server in servers for worker in server.workers()}
    try:
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)
        yield
    finally:
        for worker in workers:
            os.kill(worker, signal.SIGCONT)


def post(body: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def is_taken(client: socket.socket, body: bytes) -> None:
    head, answer, _ = read_reply(client)
    assert head.startswith(b"HTTP/1.1 200"), head
    assert json.loads(answer)["body"] == body.decode()


def a_body_that_comes_meanwhile(client: socket.socket) -> Iterator[None]:
    client.sendall(post(b"12345")[:-3])
    yield
    client.sendall(b"345")
    yield
    is_taken(client, b"12345")


def a_body_that_comes_afterwards(client: socket.socket) -> Iterator[None]:
    client.sendall(post(b"12345")[:-3])
    yield
    yield
    client.sendall(b"345")
    is_taken(client, b"12345")


def a_body_that_the_machine_cannot_keep(client: socket.socket) -> Iterator[None]:
    """Send a body whose last part fits into no buffer, so that it arrives only when the server reads on."""
    body = b"x" * 12_000_000
    client.sendall(post(body)[: -len(body)])
    yield
    sent = 0
    client.settimeout(0.2)
    with suppress(TimeoutError):
        while True:
            sent += client.send(body[sent : sent + 16_384])
    yield
    client.settimeout(LONG_SECONDS)
    client.sendall(body[sent:])
    is_taken(client, body)


def a_request_on_an_idle_connection(client: socket.socket) -> Iterator[None]:
    yield
    client.sendall(GET)
    yield
    is_taken(client, b"")


def a_head_that_comes_meanwhile(client: socket.socket) -> Iterator[None]:
    client.sendall(GET[:10])
    yield
    client.sendall(GET[10:])
    yield
    is_taken(client, b"")


CASES: list[Case] = [
    a_body_that_comes_meanwhile,
    a_body_that_comes_afterwards,
    a_body_that_the_machine_cannot_keep,
    a_request_on_an_idle_connection,
    a_head_that_comes_meanwhile,
]


@pytest.fixture(scope="module")
def outcomes(servers: dict[str, Serving]) -> dict[str, BaseException | None]:
    """Return the outcome of each case in each lane, all of them in one pause."""
    with ExitStack() as stack:
        running = {}
        for lane, server in servers.items():
            for case in CASES:
                client = stack.enter_context(server.connect())
                client.sendall(FIRST[lane])
                assert json.loads(read_reply(client)[1])["lane"] == lane.replace("tls", "stock")
                running[f"{case.__name__}-{lane}"] = case(client)
        handshake = stack.enter_context(servers["tls"].open())
        for steps in running.values():
            next(steps)
        time.sleep(0.3)
        with stopped([*servers.values()]):
            tls = servers["tls"].tls
            assert tls is not None
            secured: list[socket.socket] = []
            thread = threading.Thread(target=lambda: secured.append(tls.wrap_socket(handshake)))
            thread.start()
            for steps in running.values():
                next(steps)
            time.sleep(PAUSE_SECONDS)
        pool = stack.enter_context(ThreadPoolExecutor(len(running)))
        ended = {name: pool.submit(next, steps, None) for name, steps in running.items()}
        found = {name: future.exception(LONG_SECONDS) for name, future in ended.items()}
        thread.join(LONG_SECONDS)
        for client in secured:
            client.close()
        found["handshake-tls"] = None if secured else TimeoutError()
    return found


@pytest.mark.parametrize("lane", FIRST)
@pytest.mark.parametrize("case", CASES)
def test_a_pause_is_not_the_client_s(
    outcomes: dict[str, BaseException | None], case: Callable[..., object], lane: str
) -> None:
    assert outcomes[f"{case.__name__}-{lane}"] is None


def test_a_handshake_that_a_pause_interrupts_is_finished(outcomes: dict[str, BaseException | None]) -> None:
    assert outcomes["handshake-tls"] is None
