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
#: Most headers of most replies are the same each time: so many are remembered as having been looked at.
KEPT_PAIRS = 256

_known: set[tuple[str, str]] = set()


class PlainResponse(Response):
    """The reply to a plain request. What ``whole`` cannot make is written by gunicorn itself."""

    headers_sent: bool

    def process_headers(self, headers: Iterable[tuple[str, str]]) -> None:
        """Check names and values as gunicorn does; raises what it raises."""
        for pair in headers:
            name, value = pair
            if type(pair) is tuple and pair in _known:
                self.headers.append(pair)
            # Printable ASCII is what every value may be made of; blanks around it are cut off elsewhere.
            elif (
                name not in USUAL_NAMES
                or type(value) is not str
                or not value.isascii()
                or not value.isprintable()
                or value[:1] == " "
                or value[-1:] == " "
            ):
                super().process_headers([pair])
            elif name == "Content-Length":
                if not value.isdecimal():
                    super().process_headers([pair])
                else:
                    self.response_length = int(value)
                    self.headers.append(pair)
            else:
                self.headers.append(pair)
                if name not in FRESH_NAMES and len(_known) < KEPT_PAIRS and type(pair) is tuple:
                    _known.add(pair)

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
            + "".join([f"{name}: {value}\r\n" for name, value in self.headers])
            + "\r\n"
        )
        self.headers_sent = True
        self.sent = len(body)
        return head.encode("latin-1") + body


_second, _text = 0, ""


def _date() -> str:
    """The value of a Date header, made once a second."""
    global _second, _text
    now = int(time.time())
    if now != _second:
        _second, _text = now, http_date(now)
    return _text
