"""gunicorn's response, extended by a fast path that returns head and body as one bytes object."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from gunicorn.http.wsgi import Response
from gunicorn.util import http_date

from schemas.headers import MODEL_ARM, MODEL_VERSION, PREDICTION_ID, REQUEST_ID, RETRY_AFTER, TIMING

#: Header names known to be valid and not hop-by-hop. gunicorn's code checks all other headers.
USUAL_NAMES = frozenset(
    {
        "Allow",
        "Cache-Control",
        "Content-Length",
        "Content-Security-Policy",
        "Content-Type",
        "Referrer-Policy",
        "X-Content-Type-Options",
        "X-Frame-Options",
        RETRY_AFTER,
        TIMING,
        MODEL_ARM,
        MODEL_VERSION,
        PREDICTION_ID,
        REQUEST_ID,
    }
)
#: Headers whose value changes with each reply, so that caching their lines would not pay.
FRESH_NAMES = frozenset({"Content-Length", TIMING, PREDICTION_ID, REQUEST_ID})
#: Sizes of the caches of header lines and of status codes.
KEPT_PAIRS, KEPT_STATUSES = 256, 64

_lines: dict[tuple[str, str], str] = {}
_codes: dict[str, int] = {}


class PlainResponse(Response):
    """The reply to a plain request. gunicorn's own code writes a reply for which ``whole`` returns None."""

    headers_sent: bool
    status: str | None
    status_code: int | None

    def __init__(self, req: Any, sock: Any, cfg: Any) -> None:
        super().__init__(req, sock, cfg)
        self._head: list[str] = []

    def start_response(self, status: str, headers: Iterable[tuple[str, str]], exc_info: Any = None) -> Any:
        """Set status and headers (PEP 3333). Raises what gunicorn's Response raises.

        A status whose reply has a body is checked once; after that its code comes from a cache.
        """
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
        """Check names and values as gunicorn does, and format their lines.

        Raises what gunicorn's Response raises.
        """
        kept, lines = self.headers, self._head
        for pair in headers:
            line = _lines.get(pair) if type(pair) is tuple else None
            if line is None:
                line = self._checked_line(pair)
            else:
                kept.append(pair)
            lines.append(line)

    def _checked_line(self, pair: tuple[str, str]) -> str:
        """Check one header and return its line; empty for a hop-by-hop header, which gunicorn writes."""
        name, value = pair
        # Printable ASCII is always valid. gunicorn strips blanks around other values.
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
        """Return whether the body is sent in chunks: gunicorn's rule, reduced to HTTP/1.1."""
        return self.response_length is None and not self._omits_body

    def whole(self, answer: Any) -> bytes | None:
        """Return the reply, for the caller to send, if ``answer`` is a list of one body; otherwise None."""
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
            f"HTTP/1.1 {self.status}\r\nServer: {self.version}\r\nDate: {_date()}\r\n"
            f"Connection: {connection}\r\n{''.join(self._head)}\r\n"
        )
        self.headers_sent = True
        self.sent = len(body)
        return head.encode("latin-1") + body


def _text(pairs: Iterable[tuple[str, str]]) -> str:
    """Return the lines of these headers."""
    return "".join([f"{name}: {value}\r\n" for name, value in pairs])


_second, _moment = 0, ""


def _date() -> str:
    """Return the value of the Date header, formatted once per second."""
    global _second, _moment
    now = int(time.time())
    if now != _second:
        _second, _moment = now, http_date(now)
    return _moment
