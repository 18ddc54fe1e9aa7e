"""Requests that gunicorn's parser accepts and the RFCs do not: both lanes refuse them with the same reply."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.app.worker.serving import OURS, Serving, read_reply, serving
from tests.app.worker.streams import hosts
from tests.conftest import LONG_SECONDS

#: The first request of a connection, which decides its lane.
FIRST = {
    "fast": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "stock": b"GET / HTTP/1.1\r\nHost: x\r\nX_A: 1\r\n\r\n",
}
LANES = sorted(FIRST)
#: How long a test waits for bytes that must not arrive.
MOMENT_SECONDS = 0.5


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Start one worker."""
    with serving(OURS, tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture(params=LANES)
def client(request: pytest.FixtureRequest, server: Serving) -> Iterator[socket.socket]:
    """Return a connection of one of the lanes."""
    with server.connect() as connected:
        connected.sendall(FIRST[request.param])
        assert json.loads(read_reply(connected)[1])["lane"] == request.param
        yield connected


def status(client: socket.socket, sent: bytes, seconds: float = LONG_SECONDS) -> tuple[bytes, bool]:
    """Return the status line of the reply, and whether the connection ended in time."""
    client.sendall(sent)
    head, _, _ = read_reply(client)
    client.settimeout(seconds)
    with suppress(TimeoutError):
        return head.partition(b"\r\n")[0], client.recv(1) == b""
    return head.partition(b"\r\n")[0], False


def test_a_missing_or_malformed_host_is_400(server: Serving) -> None:
    refused = {name: text for name, text in hosts() if name != "host-missing-1.0"}
    for name, text in refused.items():
        with server.connect() as client:
            assert status(client, text.encode("latin-1")) == (b"HTTP/1.1 400 Bad Request", True), name


def test_a_malformed_host_is_400_in_the_middle_of_a_connection(client: socket.socket) -> None:
    assert status(client, b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n") == (b"HTTP/1.1 400 Bad Request", True)


def test_http_1_0_needs_no_host(server: Serving) -> None:
    with server.connect() as client:
        assert status(client, b"GET / HTTP/1.0\r\n\r\n") == (b"HTTP/1.0 200 OK", True)


@pytest.mark.parametrize(
    "said",
    [
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: deflate, chunked",
        b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: identity, chunked",
        b"Transfer-Encoding: Compress,Chunked",
    ],
)
def test_a_coding_that_is_not_undone_is_501(client: socket.socket, said: bytes) -> None:
    sent = b"POST / HTTP/1.1\r\nHost: x\r\n" + said + b"\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    line, ended = status(client, sent)
    assert line.startswith(b"HTTP/1.1 501")
    assert ended


@pytest.mark.parametrize("version", [b"1.2", b"1.9"])
def test_a_newer_version_is_answered_with_ours(client: socket.socket, version: bytes) -> None:
    sent = b"GET / HTTP/" + version + b"\r\nHost: x\r\n\r\n"
    assert status(client, sent, MOMENT_SECONDS) == (b"HTTP/1.1 200 OK", False)


def head(path: bytes, length: int = 3) -> bytes:
    return b"POST %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % (
        path,
        length,
    )


def test_a_client_that_waits_is_told_to_go_on_when_its_body_is_wanted(client: socket.socket) -> None:
    for _ in range(2):
        client.sendall(head(b"/"))
        assert read_reply_line(client) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"abc")
        said, body, rest = read_reply(client)
        assert said.startswith(b"HTTP/1.1 200")
        assert b"keep-alive" in said
        assert (json.loads(body)["body"], rest) == ("abc", b"")


def test_a_chunked_body_is_waited_for_as_well(client: socket.socket) -> None:
    client.sendall(
        b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    assert read_reply_line(client) == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.sendall(b"3\r\nabc\r\n0\r\n\r\n")
    assert json.loads(read_reply(client)[1])["body"] == "abc"


def test_a_client_whose_body_is_not_wanted_is_answered_at_once_and_the_connection_ends(
    client: socket.socket,
) -> None:
    client.sendall(head(b"/unread", 10_000))
    said, body, _ = read_reply(client)
    assert (said.partition(b"\r\n")[0], body) == (b"HTTP/1.1 200 OK", b"not read")
    assert b"Connection: close" in said
    assert client.recv(1) == b""


def test_who_does_not_wait_is_not_told(client: socket.socket) -> None:
    client.sendall(head(b"/") + b"abc" + head(b"/unread") + b"abc" + head(b"/unread", 0) + FIRST["fast"])
    rest, said = b"", []
    for _ in range(4):
        reply, _, rest = read_reply(client, rest)
        said.append(reply.partition(b"\r\n")[0])
    assert said == [b"HTTP/1.1 200 OK"] * 4


def read_reply_line(client: socket.socket) -> bytes:
    """Return the bytes up to the end of a head."""
    received = b""
    while not received.endswith(b"\r\n\r\n"):
        data = client.recv(1)
        assert data, received
        received += data
    return received
