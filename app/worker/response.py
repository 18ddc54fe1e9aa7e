"""gunicorn's response with one more way out: head and body as one."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from gunicorn.http.wsgi import Response
from gunicorn.util import http_date

#: Names that no connection keeps for itself and that need no look at their characters. Others take gunicorn's way.
USUAL_NAMES = frozenset(
    {
        "Allow",
        "Cache-Control",
        "Content-Length",
        "Content-Security-Policy",
        "Content-Type",
        "Referrer-Policy",
        "Retry-After",
        "Server-Timing",
        "X-Content-Type-Options",
        "X-Frame-Options",
        "X-Model-Version",
        "X-Prediction-Id",
        "X-Request-Id",
    }
)
#: Those whose value is another one in each reply: it would be remembered for nothing.
FRESH_NAMES = frozenset({"Content-Length", "Server-Timing", "X-Prediction-Id", "X-Request-Id"})
#: Most headers of most replies are the same each time: the lines of so many are kept, and the codes of so many statuses.
KEPT_PAIRS, KEPT_STATUSES = 256, 64

_lines: dict[tuple[str, str], str] = {}
_codes: dict[str, int] = {}


class PlainResponse(Response):
    """The reply to a plain request. What ``whole`` cannot make is written by gunicorn itself."""

    headers_sent: bool
    status: str | None
    status_code: int | None

    def __init__(self, req: Any, sock: Any, cfg: Any) -> None:
        super().__init__(req, sock, cfg)
        self._head: list[str] = []

    def start_response(self, status: str, headers: Iterable[tuple[str, str]], exc_info: Any = None) -> Any:
        """As gunicorn's; raises what it raises. A status that had a body and passed its look once is known."""
        code = _codes.get(status)
        if code is None or exc_info or self.status is not None:
            write = super().start_response(status, headers, exc_info)
            self._head = [_text(self.headers)]
            if not self._omits_body and self.status_code is not None and len(_codes) < KEPT_STATUSES:
                _codes[status] = self.status_code
            return write
        self.status, self.status_code = status, code
        self.process_headers(headers)
        self.chunked = self.is_chunked()
        return self.write

    def process_headers(self, headers: Iterable[tuple[str, str]]) -> None:
        """Check names and values as gunicorn does, and write their lines; raises what it raises."""
        kept, lines = self.headers, self._head
        for pair in headers:
            line = _lines.get(pair) if type(pair) is tuple else None
            if line is None:
                line = self._look_at(pair)
            else:
                kept.append(pair)
            lines.append(line)

    def _look_at(self, pair: tuple[str, str]) -> str:
        """Check one header; its line, which is empty if the connection keeps it for itself."""
        name, value = pair
        # Printable ASCII is what every value may be made of; blanks around it are cut off elsewhere.
        if (
            name not in USUAL_NAMES
            or type(value) is not str
            or not value.isascii()
            or not value.isprintable()
            or value.strip() != value
            or (name == "Content-Length" and not value.isdecimal())
        ):
            before = len(self.headers)
            super().process_headers([pair])
            return _text(self.headers[before:])
        self.headers.append(pair)
        line = f"{name}: {value}\r\n"
        if name == "Content-Length":
            self.response_length = int(value)
        elif name not in FRESH_NAMES and len(_lines) < KEPT_PAIRS and type(pair) is tuple:
            _lines[pair] = line
        return line

    def is_chunked(self) -> bool:
        """As gunicorn says, for HTTP/1.1."""
        return self.response_length is None and not self._omits_body

    def whole(self, answer: Any) -> bytes | None:
        """The reply of an application that returned a list of one body, to be sent by the caller; None for any other."""
        if (
            type(answer) is not list
            or len(answer) != 1
            or self.headers_sent
            or self.upgrade
            or self._omits_body
        ):
            return None
        body = answer[0]
        if type(body) is not bytes or self.response_length != len(body):
            return None
        connection = "close" if self.must_close or self.req.closes else "keep-alive"
        head = (
            f"HTTP/1.1 {self.status}\r\nServer: {self.version}\r\nDate: {_date()}\r\nConnection: {connection}\r\n"
            f"{''.join(self._head)}\r\n"
        )
        self.headers_sent = True
        self.sent = len(body)
        return head.encode("latin-1") + body


def _text(pairs: Iterable[tuple[str, str]]) -> str:
    """The lines of these headers."""
    return "".join([f"{name}: {value}\r\n" for name, value in pairs])


_second, _moment = 0, ""


def _date() -> str:
    """The value of a Date header, made once a second."""
    global _second, _moment
    now = int(time.time())
    if now != _second:
        _second, _moment = now, http_date(now)
    return _moment
