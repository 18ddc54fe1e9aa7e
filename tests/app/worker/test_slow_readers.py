"""A client that stops reading its reply is cut off; a slow one gets all of it.

In both lanes, also over TLS.
"""

from __future__ import annotations

import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.app.worker.echo_app import LARGE, LARGE_BYTES
from tests.app.worker.serving import OURS, Serving, certified, read_reply, serving
from tests.conftest import LONG_SECONDS
from tests.end_to_end.server import ROOT

#: A name with "_" is never plain.
LANES = {"fast": b"", "stock": b"X_A: 1\r\n"}
#: How long clients may stop reading.
SECONDS = 2.5
RECEIVE_BYTES = 1 << 16
PIECE_BYTES = 1 << 18


def ask(kind: str, lane: str) -> bytes:
    return f"GET /answer/{kind} HTTP/1.1\r\nHost: x\r\n".encode() + LANES[lane] + b"\r\n"


CASES = [(kind, lane) for kind in LARGE for lane in LANES]


@pytest.fixture(scope="module", params=["plain", "tls"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Start a worker with a slot for each case."""
    directory = tmp_path_factory.mktemp("server")
    conf, tls = certified(directory) if request.param == "tls" else ("", None)
    conf += f"\nworker_connections = {len(CASES)}"
    with serving(OURS, directory, conf, tls=tls, PLUMBLINE_BODY_TIMEOUT_SECONDS=str(SECONDS)) as started:
        yield started


def test_clients_that_read_nothing_do_not_hold_their_slots(server: Serving) -> None:
    with ExitStack() as stack:
        poll = select.poll()
        open_ones = {}
        for kind, lane in CASES:
            client = stack.enter_context(server.connect(RECEIVE_BYTES))
            client.sendall(ask(kind, lane) * 20)
            open_ones[client.fileno()] = (kind, lane)
            poll.register(client, select.POLLHUP)
        with server.connect() as healthy:
            healthy.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert read_reply(healthy)[0].startswith(b"HTTP/1.1 200")
        deadline = time.monotonic() + LONG_SECONDS
        while open_ones and time.monotonic() < deadline:
            for number, _ in poll.poll(100):
                poll.unregister(number)
                del open_ones[number]
        assert not open_ones, "these were not cut off"
    assert "Traceback" not in server.log


def test_a_slow_client_gets_all_of_its_reply(server: Serving) -> None:
    """All slow clients read at once, for longer than a client may pause."""
    with ExitStack() as stack:
        left = {stack.enter_context(server.connect(RECEIVE_BYTES)): case for case in CASES}
        taken = dict.fromkeys(left, 0)
        for client, case in left.items():
            client.sendall(ask(*case))
        began = time.monotonic()
        while left:
            for client in list(left):
                wanted = taken[client] + PIECE_BYTES
                while taken[client] < min(wanted, LARGE_BYTES):
                    came = client.recv(1 << 16)
                    assert came, (left[client], taken[client])
                    taken[client] += len(came)
                if taken[client] >= LARGE_BYTES:
                    del left[client]
            time.sleep(0.2)
        assert time.monotonic() - began > 2 * SECONDS


IN_PLACE = """
from gevent import monkey; monkey.patch_all()
import socket
from app.worker.connection import Connection

taking = [True]

class Measured(Connection):
    def _queued(self):
        # Each time that the limit passes, the client has read a little, but too little to make room.
        if taking[0]:
            theirs.recv(50_000)
        return super()._queued()

listener = socket.create_server(("127.0.0.1", 0))
theirs = socket.create_connection(listener.getsockname())
theirs.settimeout(0)
ours, _ = listener.accept()
connection = Measured(ours, 0.05)
ours.settimeout(0)
try:
    while True:
        ours.send(bytes(100_000))
except BlockingIOError:
    ours.settimeout(0.05)
theirs.settimeout(None)
connection.sendall(bytes(300_000))
print("sent")
taking[0] = False
try:
    connection.sendall(bytes(100_000_000))
except ConnectionResetError as error:
    print(error.strerror)
for each in (connection, theirs, listener):
    each.close()
"""


def test_slow_is_told_from_stalled_by_what_was_taken() -> None:
    """It runs in a process of its own, because gevent's patches cannot be undone."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IN_PLACE],
        capture_output=True,
        text=True,
        timeout=LONG_SECONDS,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert (done.stdout, done.stderr) == ("sent\nthe client does not read its reply\n", "")
