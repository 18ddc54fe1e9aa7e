"""Plumbline's worker and gunicorn's own get the same bytes and must behave alike.

They must send the same reply, and both keep or both close the connection.
"""

from __future__ import annotations

import re
import socket
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.app.worker.serving import OURS, STOCK, serving
from tests.app.worker.streams import streams
from tests.conftest import LONG_SECONDS

#: A client takes the connection for open after this time without bytes, in which the server answered this
#: many others.
SILENCE_SECONDS, OTHERS = 0.2, 3
PIECE_SECONDS = 0.003

#: Prefixes of streams for which the worker may differ: it must be stricter than gunicorn, or close sooner.
ALLOWED = {
    "host-": "RFC 9112, section 3.2: every request of HTTP/1.1 has a Host, and no request a malformed one",
    "smuggle-7": "RFC 9112, section 6.1: a transfer coding that is not undone is 501",
    "version-'1.2'": "RFC 9110, section 2.5: a reply says a version that is spoken here",
    "expect-": "RFC 9110, section 10.1.1: who has begun to send, or sends nothing, need not be told to go on",
    "field-36": "the same",
}

PLAIN = (
    "plain-",
    "answer-plain",
    "target-61",
    "value-20",
    "value-e9",
    "name-21",
    "field-0",
    "field-size-8190",
    "pipeline-3",
    "proxied-plain",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The reply without what differs between two servers, and whether the connection stayed open."""

    replies: bytes
    stays_open: bool
    lanes: tuple[str, ...]


def exchange(port: int, pieces: list[bytes]) -> Outcome:
    """Send the pieces, and read until the connection is closed or silent."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=LONG_SECONDS) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stays_open = True
        try:
            for i, piece in enumerate(pieces):
                if i:
                    time.sleep(PIECE_SECONDS)
                client.sendall(piece)
        except OSError:
            pass  # the server has closed already; what it said can still be read
        client.settimeout(SILENCE_SECONDS)
        silent = 0
        while silent < OTHERS:
            try:
                data = client.recv(1 << 20)
            except TimeoutError:
                answer_other(port)
                silent += 1
                continue
            except ConnectionResetError:
                data = b""
            if not data:
                stays_open = False
                break
            received, silent = received + data, 0
    lanes = tuple(match.decode() for match in re.findall(rb'"lane": "(\w+)"', received))
    for pattern, put in (
        (rb"Date: [^\r]*", b"Date: -"),
        (rb'"lane": "\w+"', b'"lane": "-"'),
        (rb'"(REMOTE|SERVER)_PORT": "\d+"', rb'"\1_PORT": "-"'),
        (rb'"gunicorn.socket": "\w+"', b'"gunicorn.socket": "-"'),
        (rb"Content-Length: \d{3,}", b"Content-Length: -"),
    ):
        received = re.sub(pattern, put, received)
    return Outcome(received, stays_open, lanes)


def answer_other(port: int) -> None:
    """Send a request on a new connection; its reply shows that the server has polled all others."""
    with socket.create_connection(("127.0.0.1", port), timeout=LONG_SECONDS) as other:
        other.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        while other.recv(1 << 16):
            pass


@pytest.fixture(scope="module")
def outcomes() -> Iterator[dict[str, tuple[Outcome, Outcome]]]:
    """Return the outcomes of the stock worker and of Plumbline's worker, by the stream's name."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stock = stack.enter_context(serving(STOCK, directory)).port
        ours = stack.enter_context(serving(OURS, directory)).port
        pool = stack.enter_context(ThreadPoolExecutor(64))
        cases = streams()
        found = pool.map(lambda sent: (exchange(stock, sent), exchange(ours, sent)), cases.values())
        yield dict(zip(cases, found, strict=True))


def test_there_are_many_streams() -> None:
    assert len(streams()) >= 300


def test_both_workers_answer_alike(outcomes: dict[str, tuple[Outcome, Outcome]]) -> None:
    different = {
        name: f"stock {stock.stays_open} {stock.replies[:400]!r}\n  ours {ours.stays_open} {ours.replies[:400]!r}"
        for name, (stock, ours) in outcomes.items()
        if (stock.replies, stock.stays_open) != (ours.replies, ours.stays_open)
        and not name.startswith(tuple(ALLOWED))
    }
    assert not different, f"{len(different)} differ:\n" + "\n".join(
        f"{k}: {v}" for k, v in list(different.items())[:20]
    )


def test_what_the_strict_parser_refuses_is_never_accepted(
    outcomes: dict[str, tuple[Outcome, Outcome]],
) -> None:
    """This holds for the allowed differences too."""
    for name, (stock, ours) in outcomes.items():
        accepted = [len(re.findall(rb"HTTP/1\.\d 200", outcome.replies)) for outcome in (stock, ours)]
        assert accepted[1] <= accepted[0], name
        assert stock.stays_open or not ours.stays_open, name


def test_plain_requests_take_the_fast_lane_and_others_do_not(
    outcomes: dict[str, tuple[Outcome, Outcome]],
) -> None:
    """If they did not, the test above would compare gunicorn with itself."""
    fast = {name for name, (_, ours) in outcomes.items() if ours.lanes and set(ours.lanes) == {"fast"}}
    assert fast >= {name for name, (_, ours) in outcomes.items() if name.startswith(PLAIN) and ours.lanes}
    assert len(fast) > 200
    assert all(set(stock.lanes) <= {"stock"} for stock, _ in outcomes.values())
    for name in ("chunked", "field-36", "method-'HEAD'", "version-'1.0'", "leading-crlf", "a-target-12"):
        assert set(outcomes[name][1].lanes) <= {"stock"}, name
