"""Which request heads are plain, and the WSGI environ that a plain one stands for.

A head is judged on its raw bytes before anything parses it. What is not strictly plain is not repaired or refused here:
gunicorn's own parser, which is the strict one, gets it. So this file may be wrong in one direction only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gunicorn.http.wsgi import base_environ
from gunicorn.util import split_request_uri, unquote_to_wsgi_str

#: RFC 9112, sections 3 and 5, with every liberty left out: no other line end, no fold, no "_" in a name (which would
#: be the same environ key as "-"), no method whose reply has no body. Possessive, so that no input makes it backtrack.
PLAIN = re.compile(
    rb"(?:GET|POST|PUT|PATCH|DELETE|OPTIONS) /[\x21-\x7e]*+ HTTP/1\.1\r\n"
    rb"(?:[!#$%&'*+\-.^`|~0-9A-Za-z]++:[\t\x20-\x7e\x80-\xff]*+\r\n)*+\r\n"
)
#: What these say is for gunicorn to judge.
NOT_PLAIN = frozenset({"TRANSFER-ENCODING", "EXPECT", "UPGRADE"})
#: Said twice they are ambiguous.
ONCE = frozenset({"HOST", "CONTENT-TYPE", "CONTENT-LENGTH", "CONNECTION"})
LENGTH = re.compile(r"[0-9]{1,9}")
#: RFC 9110, section 7.2, and RFC 3986, section 3.2.2: a name or an address, and a port or none.
HOST = re.compile(
    r"(?:(?:[0-9A-Za-z\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*+|\[[0-9A-Za-z\-._~%:]++\])(?::[0-9]*+)?"
)

MAX_LINE_BYTES = 4094
MAX_FIELDS = 64
MAX_FIELD_BYTES = 8190

#: Clients send the same head again and again: this many are kept as read, each of at most so many bytes.
KEPT_HEADS = 512
KEPT_HEAD_BYTES = 2048

_END = b"\r\n\r\n"


@dataclass(slots=True, eq=False)
class Head:
    """A plain head. It has what gunicorn's Response and error page ask of a request.

    ``environ`` lacks what belongs to the connection. ``size`` and ``content_length`` are in bytes.
    """

    method: str
    uri: str
    path: str
    query: str
    environ: dict[str, Any]
    size: int
    content_length: int
    closes: bool
    version: tuple[int, int] = (1, 1)
    scheme: str = "http"
    body: None = None
    headers: list[tuple[str, str]] = field(default_factory=list)

    def should_close(self) -> bool:
        """Whether the client wants the connection closed after the reply."""
        return self.closes


class Heads:
    """Finds the head at the beginning of what a client sent. Each distinct one is read once."""

    def __init__(self, cfg: Any, server: tuple[Any, ...]) -> None:
        """cfg : gunicorn's configuration; server : the address that is listened on."""
        self._line_bytes = _least(cfg.limit_request_line, MAX_LINE_BYTES)
        self._fields = _least(cfg.limit_request_fields, MAX_FIELDS)
        self._field_bytes = _least(cfg.limit_request_field_size, MAX_FIELD_BYTES)
        # Any other value says what is so anyway: that the client spoke plain HTTP.
        self._secure = {name.upper(): value for name, value in cfg.secure_scheme_headers.items()}
        self._base = {
            **base_environ(cfg),
            "wsgi.multithread": True,
            "wsgi.url_scheme": "http",
            "SERVER_NAME": server[0],
            "SERVER_PORT": str(server[1]),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SCRIPT_NAME": "",
        }
        self._kept: dict[bytes, Head] = {}

    def find(self, data: bytes) -> Head | None:
        """The head at the beginning of ``data``; None when it is not there as a whole, or not plain."""
        size = data.find(_END) + 4
        raw = data[:size]
        head = self._kept.get(raw)
        if head is not None:
            return head
        head = self._read(raw) if size > 4 and PLAIN.fullmatch(raw) else None
        if head is not None and size <= KEPT_HEAD_BYTES:
            if len(self._kept) >= KEPT_HEADS:
                self._kept.clear()
            self._kept[raw] = head
        return head

    def _read(self, raw: bytes) -> Head | None:
        """The content of a head that has the form of a plain one; None when what it says is not plain."""
        line, *fields = raw[:-4].decode("latin-1").split("\r\n")
        if len(line) > self._line_bytes or len(fields) > self._fields:
            return None
        method, uri, _ = line.split(" ")
        values: dict[str, str] = {}
        for text in fields:
            name, _, value = text.partition(":")
            name, value = name.upper(), value.strip(" \t")
            if (
                len(text) + 2 > self._field_bytes
                or name in NOT_PLAIN
                or (name in ONCE and name in values)
                or self._secure.get(name) == value
            ):
                return None
            values[name] = f"{values[name]},{value}" if name in values else value
        connection = values.get("CONNECTION", "keep-alive").lower()
        length = values.get("CONTENT-LENGTH", "0")
        if (
            connection not in ("keep-alive", "close")
            or not LENGTH.fullmatch(length)
            or "HOST" not in values
            or not HOST.fullmatch(values["HOST"])
        ):
            return None
        try:
            parts = split_request_uri(uri)
        except ValueError:
            return None
        environ = {
            **self._base,
            "REQUEST_METHOD": method,
            "RAW_URI": uri,
            "QUERY_STRING": parts.query or "",
            "PATH_INFO": unquote_to_wsgi_str(parts.path or ""),
            **_environ_of(values),
        }
        size, closes = len(raw), connection == "close"
        return Head(method, uri, parts.path, parts.query, environ, size, int(length), closes)


def _environ_of(values: Mapping[str, str]) -> dict[str, str]:
    """Header fields as PEP 3333 names them."""
    environ = {}
    for name, value in values.items():
        key = name.replace("-", "_")
        environ[key if name in ("CONTENT-TYPE", "CONTENT-LENGTH") else f"HTTP_{key}"] = value
    return environ


def _least(configured: int, fixed: int) -> int:
    """gunicorn takes 0 or less for its own largest value."""
    return min(configured, fixed) if configured > 0 else fixed


def application_is_mounted() -> bool:
    """Whether gunicorn cuts a prefix off every path: then no head is plain."""
    return bool(os.environ.get("SCRIPT_NAME"))
