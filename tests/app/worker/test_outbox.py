"""Replies deferred to the end of a loop iteration arrive whole, in order, and before the next computation."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.app.worker.serving import OURS, Serving, read_reply, serving
from tests.conftest import LONG_SECONDS
from tests.end_to_end.server import ROOT

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
#: The echo application returns six bytes for each: more than the buffers of a connection hold (tcp(7)).
LARGE = b"\xff" * 1_000_000
KEEPALIVE_SECONDS = 6


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Start one worker."""
    with serving(OURS, tmp_path_factory.mktemp("server"), f"keepalive = {KEEPALIVE_SECONDS}") as started:
        yield started


def small(server: Serving) -> socket.socket:
    """Return a client with a small receive buffer."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(LONG_SECONDS)
    client.connect(("127.0.0.1", server.port))
    return client


def post(body: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def test_a_client_that_reads_late_gets_all_of_a_large_reply_and_its_time_for_the_next_request(
    server: Serving,
) -> None:
    with small(server) as client:
        client.sendall(post(LARGE))
        time.sleep(KEEPALIVE_SECONDS + 1)
        # The server takes what has arrived in its socket as sent, and its time limit begins.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        _, first, _ = read_reply(client)
        client.sendall(GET)
        _, second, _ = read_reply(client)
    body = json.loads(first)
    assert (body["body"], body["lane"]) == (LARGE.decode("latin-1"), "fast")
    assert json.loads(second)["lane"] == "fast"


def test_replies_to_requests_that_were_sent_together_come_in_order(server: Serving) -> None:
    bodies = [b"%d" % i + LARGE[: 5_000 * (i % 7)] for i in range(100)]
    with small(server) as client:
        client.setblocking(False)
        waiting, data, found = b"".join(map(post, bodies)), b"", []
        deadline = time.monotonic() + LONG_SECONDS
        while len(found) < len(bodies) and time.monotonic() < deadline:
            with suppress(BlockingIOError):
                waiting = waiting[client.send(waiting[:65536]) :] if waiting else b""
            try:
                data += client.recv(65536)
            except BlockingIOError:
                time.sleep(0.0005)
            while b"\r\n\r\n" in data:
                head, _, rest = data.partition(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                if len(rest) < length:
                    break
                found.append(json.loads(rest[:length])["body"].encode("latin-1"))
                data = rest[length:]
        assert found == bodies


@pytest.mark.parametrize("body", [b"short", LARGE])
def test_a_client_that_says_it_sends_no_more_still_gets_its_reply(server: Serving, body: bytes) -> None:
    with small(server) as client:
        client.sendall(post(body))
        client.shutdown(socket.SHUT_WR)
        assert json.loads(read_reply(client)[1])["body"] == body.decode("latin-1")
        assert client.recv(10) == b""


def test_a_client_that_left_before_its_reply_harms_nobody(server: Serving) -> None:
    for _ in range(20):
        with small(server) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.sendall(post(LARGE))
    with server.connect() as client:
        client.sendall(GET)
        assert read_reply(client)[0].startswith(b"HTTP/1.1 200")
    assert "Traceback" not in server.log


IN_PLACE = """
from gevent import monkey; monkey.patch_all()
import gevent, socket, time
from app.concurrency.forms import Greenlets, before_blocking
from app.worker.connection import OUTBOX_REPLIES, Connection, Outbox

ours, theirs = socket.socketpair()
theirs.settimeout(60)
outbox, connection = Outbox(), Connection(ours, 60.0)
seen = []

def look():
    theirs.setblocking(False)
    try:
        seen.append(theirs.recv(100))
    except BlockingIOError:
        seen.append(b"")
    theirs.setblocking(True)

with before_blocking(outbox.flush):
    outbox.put(connection, b"before a model's call")
    look()
    Greenlets().inline(look)
    outbox.put(connection, b"at the end of the turn")
    look()
    gevent.sleep(0)
    look()
    for i in range(OUTBOX_REPLIES):
        connection.flush()
        outbox.put(connection, b"x")
    look()
    outbox.put(connection, b"owed when it closes")
    connection.close()
    seen.append(theirs.recv(100))
outbox.put(connection, b"")
Greenlets().inline(lambda: None)
theirs.close()
print(seen)
"""


def test_what_is_owed_is_sent_before_a_model_is_called_and_at_the_end_of_a_turn() -> None:
    """It runs in a process of its own, because gevent's patches cannot be undone."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IN_PLACE],
        capture_output=True,
        text=True,
        timeout=LONG_SECONDS,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
    )
    expected = [
        b"",
        b"before a model's call",
        b"",
        b"at the end of the turn",
        b"x" * 64,
        b"owed when it closes",
    ]
    assert (done.stdout, done.stderr) == (f"{expected}\n", "")
