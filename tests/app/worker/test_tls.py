"""TLS connections end like others: after a slow handshake, body or pause, or when the worker shuts down."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.app.worker.serving import OURS, Serving, certified, read_reply, serving
from tests.conftest import LONG_SECONDS, wait_until

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
SLOTS = 4
HANDSHAKE_FAILED = "TLS handshake with 127.0.0.1 failed: "


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Start a worker with few slots; an idle connection has four seconds, a body has three."""
    directory = tmp_path_factory.mktemp("server")
    conf, tls = certified(directory)
    conf += f"\nworker_connections = {SLOTS}\nkeepalive = 4"
    with serving(OURS, directory, conf, tls=tls, PLUMBLINE_BODY_TIMEOUT_SECONDS="3") as started:
        yield started


def failures(server: Serving) -> list[str]:
    return [line for line in server.log.splitlines() if HANDSHAKE_FAILED in line]


def number_of_failures(server: Serving, least: int) -> int:
    """Wait until this many handshakes have failed."""
    wait_until(lambda: len(failures(server)) >= least)
    return len(failures(server))


def wait_until_it_is_closed(client: socket.socket) -> bytes:
    """Wait until the connection is closed, and return the bytes that arrived before."""
    received = b""
    with suppress(ConnectionError):
        while data := client.recv(65536):
            received += data
    return received


def hello() -> bytes:
    """Return the first message of a client's handshake."""
    outgoing = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="test")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def test_clients_that_never_finish_the_handshake_do_not_hold_their_slots(server: Serving) -> None:
    """The clients are silent, stop after half of their hello or after all of it, or send it byte by byte."""
    first, before = hello(), len(failures(server))
    stop = threading.Event()

    def drip(client: socket.socket) -> None:
        with suppress(OSError):
            for i in range(len(first)):
                client.sendall(first[i : i + 1])
                if stop.wait(0.1):
                    return

    sent = (b"", first[: len(first) // 2], first, b"")
    with ExitStack() as stack:
        clients = [stack.enter_context(server.open()) for _ in range(SLOTS)]
        for client, data in zip(clients, sent, strict=True):
            client.sendall(data)
        dripping = threading.Thread(target=drip, args=(clients[-1],))
        dripping.start()
        try:
            with server.connect() as healthy:
                healthy.sendall(GET)
                assert read_reply(healthy)[0].startswith(b"HTTP/1.1 200")
            for client in clients:
                wait_until_it_is_closed(client)
        finally:
            stop.set()
            dripping.join(LONG_SECONDS)
    assert number_of_failures(server, before + SLOTS) == before + SLOTS
    assert "Traceback" not in server.log


def test_a_handshake_that_fails_is_one_line_of_the_log(server: Serving) -> None:
    def plain() -> None:
        with server.open() as client:
            client.sendall(GET)
            wait_until_it_is_closed(client)

    def distrustful() -> None:
        context = ssl.create_default_context()
        with server.open() as client, pytest.raises(ssl.SSLError):
            context.wrap_socket(client, server_hostname="127.0.0.1")

    def without_a_common_cipher() -> None:
        context = ssl.create_default_context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
        with server.open() as client, pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(client, server_hostname="127.0.0.1")

    def gone() -> None:
        with server.open() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.sendall(hello()[:10])

    def left() -> None:
        server.open().close()

    for fails in (plain, distrustful, without_a_common_cipher, gone, left):
        before = len(failures(server))
        fails()
        assert number_of_failures(server, before + 1) == before + 1, fails.__name__
    assert "Traceback" not in server.log


def test_requests_follow_each_other_on_one_connection(server: Serving) -> None:
    body = b"x" * 100_000
    with server.connect() as client:
        for _ in range(2):
            client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + body[:1])
            for i in range(1, len(body), 30_000):
                client.sendall(body[i : i + 30_000])
            answer = json.loads(read_reply(client)[1])
            assert (answer["body"], answer["wsgi.url_scheme"]) == (body.decode(), "https")
        client.sendall(GET * 3)
        rest = b""
        for _ in range(3):
            head, _, rest = read_reply(client, rest)
            assert head.startswith(b"HTTP/1.1 200")
        assert not rest


@pytest.mark.parametrize("drips", [False, True])
def test_a_body_that_does_not_come_is_given_up(server: Serving, drips: bool) -> None:
    with server.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n")
        began = time.monotonic()
        if drips:
            with suppress(OSError):
                while time.monotonic() - began < LONG_SECONDS:
                    client.sendall(b"x")
                    time.sleep(0.1)
            assert time.monotonic() - began < LONG_SECONDS
        else:
            assert wait_until_it_is_closed(client).startswith(b"HTTP/1.1 408")


def test_a_silent_connection_is_closed(server: Serving) -> None:
    with server.connect() as client:
        client.sendall(GET)
        assert read_reply(client)[0]
        assert wait_until_it_is_closed(client) == b""


def test_a_worker_that_ends_closes_idle_connections_and_answers_others(tmp_path: Path) -> None:
    conf, tls = certified(tmp_path)
    with serving(OURS, tmp_path, conf, tls=tls) as server:
        with server.connect() as idle, server.connect() as busy:
            idle.sendall(GET)
            assert read_reply(idle)[0]
            busy.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
            wait_until(lambda: server.unread(busy) == 0)
            server.process.send_signal(signal.SIGTERM)
            assert wait_until_it_is_closed(idle) == b""
            busy.sendall(b"abc")
            assert json.loads(read_reply(busy)[1])["body"] == "abc"
        assert server.process.wait(LONG_SECONDS) == 0
