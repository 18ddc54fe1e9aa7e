"""The fast lane's parser: it recognises plain request heads and builds their WSGI environ.

A head is matched as raw bytes. One that is not strictly plain is neither repaired nor refused: gunicorn's own
parser handles it. An error in this file must therefore never accept more than gunicorn does; accepting less
is harmless.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gunicorn.config import PostRequest, PreRequest
from gunicorn.glogging import Logger
from gunicorn.http.wsgi import base_environ
from gunicorn.util import split_request_uri, unquote_to_wsgi_str

#: The strict form of RFC 9112, sections 3 and 5: CRLF line ends only, no folded lines, no "_" in a field name
#: (it would share the environ key of "-"), and no method whose reply has no body. The quantifiers are
#: possessive, so that no input makes the pattern backtrack.
PLAIN = re.compile(
    rb"(?:GET|POST|PUT|PATCH|DELETE|OPTIONS) /[\x21-\x7e]*+ HTTP/1\.1\r\n"
    rb"(?:[!#$%&'*+\-.^`|~0-9A-Za-z]++:[\t\x20-\x7e\x80-\xff]*+\r\n)*+\r\n"
)
#: A head with one of these fields is left to gunicorn.
NOT_PLAIN = frozenset({"TRANSFER-ENCODING", "EXPECT", "UPGRADE"})
#: Fields that are ambiguous when repeated.
ONCE = frozenset({"HOST", "CONTENT-TYPE", "CONTENT-LENGTH", "CONNECTION"})
LENGTH = re.compile(r"[0-9]{1,9}")
#: A host name or address with an optional port (RFC 9110, section 7.2, and RFC 3986, section 3.2.2).
HOST = re.compile(
    r"(?:(?:[0-9A-Za-z\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*+|\[[0-9A-Za-z\-._~%:]++\])(?::[0-9]*+)?"
)

MAX_LINE_BYTES = 4094
MAX_FIELDS = 64
MAX_FIELD_BYTES = 8190

#: Limits of the cache of parsed heads: clients repeat the same head in most requests.
KEPT_HEADS = 512
KEPT_HEAD_BYTES = 2048

_END = b"\r\n\r\n"


@dataclass(slots=True, eq=False)
class Head:
    """A parsed plain head, with the attributes of a request that gunicorn's Response and error page read."""

    method: str
    uri: str
    path: str
    query: str
    #: The WSGI environ without the entries of the connection.
    environ: dict[str, Any]
    #: Bytes of the head, and of the body that follows it.
    size: int
    content_length: int
    #: The client asked for "Connection: close".
    closes: bool
    version: tuple[int, int] = (1, 1)
    scheme: str = "http"
    body: None = None
    headers: list[tuple[str, str]] = field(default_factory=list)

    def should_close(self) -> bool:
        """Return whether the client wants the connection closed after the reply."""
        return self.closes


class Heads:
    """The parser for one listening address, with a cache of the heads that it has parsed."""

    def __init__(self, cfg: Any, server: tuple[Any, ...]) -> None:
        """Take the limits from gunicorn's configuration ``cfg``; ``server`` is the listening address."""
        self._line_bytes = _least(cfg.limit_request_line, MAX_LINE_BYTES)
        self._fields = _least(cfg.limit_request_fields, MAX_FIELDS)
        self._field_bytes = _least(cfg.limit_request_field_size, MAX_FIELD_BYTES)
        # Any other value of these headers means plain HTTP, which is the default.
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
        """Return the head at the beginning of ``data``, or None when it is incomplete or not plain."""
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
        """Parse a head that matches PLAIN; None when one of its values is not plain."""
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
    """Return header fields under their environ keys (PEP 3333)."""
    environ = {}
    for name, value in values.items():
        key = name.replace("-", "_")
        environ[key if name in ("CONTENT-TYPE", "CONTENT-LENGTH") else f"HTTP_{key}"] = value
    return environ


def _least(configured: int, fixed: int) -> int:
    """Return the lower limit. gunicorn reads 0 or less as its own maximum."""
    return min(configured, fixed) if configured > 0 else fixed


def has_fast_lane(cfg: Any, log: Any) -> bool:
    """Return whether gunicorn is configured for nothing that only its own loop provides."""
    return not (
        cfg.is_ssl
        or not cfg.keepalive
        or cfg.proxy_protocol not in (False, "off")
        # gunicorn removes this prefix from every path.
        or os.environ.get("SCRIPT_NAME")
        or log.access_log.handlers
        or type(log).access is not Logger.access
        or cfg.pre_request is not PreRequest.default
        or cfg.post_request is not PostRequest.default
    )
