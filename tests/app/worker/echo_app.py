"""WSGI applications: one returns the environ it got, and others reply in every way that WSGI allows."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

StartResponse = Callable[..., Callable[[bytes], object]]

_served = count()


def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """Return the environ as JSON.

    A path below /answer/ chooses another reply; /served returns the number of earlier requests.
    """
    served = next(_served)
    kind = environ["PATH_INFO"].removeprefix("/answer/")
    if kind in ANSWERS or kind in LARGE:
        return (ANSWERS | LARGE)[kind](environ, start_response)
    if environ["PATH_INFO"] == "/unread":
        return whole(start_response, b"not read")
    if environ["PATH_INFO"] == "/served":
        return whole(start_response, b"%d" % served)
    if environ["PATH_INFO"] == "/spin":
        return spin(start_response, float(environ["QUERY_STRING"]))
    given = {key: shown(value) for key, value in environ.items() if key != "wsgi.input"}
    given["body"] = environ["wsgi.input"].read().decode("latin-1")
    given["lane"] = "fast" if type(environ["wsgi.input"]).__module__ == "_io" else "stock"
    return whole(start_response, json.dumps(given, sort_keys=True).encode())


def spin(start_response: StartResponse, seconds: float) -> Iterator[bytes]:
    """Announce the call, and then compute for a while."""
    start_response("200 OK", [("Content-Length", "8")])
    yield b"spin"
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
    yield b"spun"


def shown(value: Any) -> Any:
    """Return the part of a value that can be compared; a callable is reduced to its kind."""
    if callable(value) and not isinstance(value, type):
        return "callable"
    return value if isinstance(value, (str, bool, tuple)) else type(value).__name__


def whole(start_response: StartResponse, body: bytes, status: str = "200 OK") -> list[bytes]:
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def headers(*pairs: Any, body: bytes = b"1234") -> Callable[[dict[str, Any], StartResponse], Iterable[bytes]]:
    """Return an application that replies with these headers."""

    def answer(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", list(pairs))
        return [body]

    return answer


def status(said: str, *pairs: Any) -> Callable[[dict[str, Any], StartResponse], Iterable[bytes]]:
    """Return an application that replies with this status."""

    def answer(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response(said, list(pairs))
        return [b"1234"]

    return answer


def pieces(environ: dict[str, Any], start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"one"
    yield b""
    yield b"two"


def written(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    write = start_response("200 OK", [("Content-Length", "6")])
    write(b"one")
    return [b"two"]


def twice(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "4")])
    start_response("200 OK", [("Content-Length", "4")])
    return [b"1234"]


def raises(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    raise RuntimeError("on purpose")


def raises_late(environ: dict[str, Any], start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Length", "6")])
    yield b"one"
    raise RuntimeError("on purpose")


def sleeps(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    time.sleep(0.05)
    return whole(start_response, b"slept")


def hints(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    environ["wsgi.early_hints"]([("Link", "</style.css>; rel=preload")])
    return whole(start_response, b"hinted")


def file(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    found: Iterable[bytes] = environ["wsgi.file_wrapper"](Path(__file__).open("rb"))  # noqa: SIM115 # the server closes it
    return found


LENGTH = ("Content-Length", "4")
ANSWERS: dict[str, Callable[[dict[str, Any], StartResponse], Iterable[bytes]]] = {
    "plain": headers(LENGTH, ("Content-Type", "text/plain"), ("X-Other", "a\tb")),
    "no-length": headers(("Content-Type", "text/plain")),
    "too-long": headers(("Content-Length", "3")),
    "too-short": headers(("Content-Length", "5")),
    "length-lower": headers(("content-length", "4")),
    "length-blank": headers(("Content-Length", " 4 ")),
    "length-text": headers(("Content-Length", "four")),
    "empty": headers(("Content-Length", "0"), body=b""),
    "latin": headers(LENGTH, ("X-Name", "\xe9")),
    "strip": headers(LENGTH, ("Content-Type", " text/plain ")),
    "bad-value": headers(LENGTH, ("X-Bad", "a\r\nSet-Cookie: b")),
    "bad-usual-value": headers(LENGTH, ("Content-Type", "a\r\nSet-Cookie: b")),
    "bad-name": headers(LENGTH, ("X Bad", "a")),
    "not-text": headers(LENGTH, ("X-Number", 4)),
    "not-text-name": headers(LENGTH, (4, "x")),
    "hop": headers(LENGTH, ("Connection", "close"), ("Keep-Alive", "5"), ("Server", "mine"), ("Date", "now")),
    "upgrade": headers(LENGTH, ("Connection", "upgrade"), ("Upgrade", "websocket")),
    "chunked": headers(("Transfer-Encoding", "chunked")),
    "204": status("204 No Content"),
    "204-length": status("204 No Content", LENGTH),
    "304": status("304 Not Modified", LENGTH),
    "100": status("100 Continue", LENGTH),
    "bad-status": status("abc", LENGTH),
    "no-reason": status("200", LENGTH),
    "500": status("500 Oops", LENGTH),
    "not-bytes": headers(LENGTH, body="1234"),  # type: ignore[arg-type]
    "pieces": pieces,
    "written": written,
    "twice": twice,
    "raises": raises,
    "raises-late": raises_late,
    "sleeps": sleeps,
    "hints": hints,
    "file": file,
}

#: More bytes than the buffers of a connection hold (tcp(7)).
LARGE_BYTES = 8 << 20


def large_whole(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    return whole(start_response, bytes(LARGE_BYTES))


def large_stream(environ: dict[str, Any], start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    for _ in range(LARGE_BYTES >> 16):
        yield bytes(1 << 16)


def large_file(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", str(LARGE_BYTES))])
    zeros = tempfile.TemporaryFile()  # noqa: SIM115 # the server closes it
    zeros.truncate(LARGE_BYTES)
    found: Iterable[bytes] = environ["wsgi.file_wrapper"](zeros)
    return found


LARGE = {"large-whole": large_whole, "large-stream": large_stream, "large-file": large_file}
