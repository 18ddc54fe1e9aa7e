"""A request: how it is matched with a route, what this project adds to it, and how its JSON body is read."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, cast
from urllib.parse import quote

from flask import Flask, Request, request
from flask.sessions import NullSession, SessionInterface
from werkzeug.exceptions import (
    BadRequest,
    NotFound,
    RequestEntityTooLarge,
    RequestTimeout,
    UnsupportedMediaType,
)
from werkzeug.routing import Map, MapAdapter

from app.api.context import Context
from app.concurrency.time_limit import TimedOut, time_limit
from app.inference.messages import Ask
from schemas.json_body import read

#: The characters of a path that are not quoted (RFC 3986, section 3.3); "%" keeps what is already quoted.
_SAFE_IN_PATH = "/%-._~!$&'()*+,;=:@"

_JSON_HEADER = "'Content-Type: application/json'"
_INCOMPLETE = "the body is incomplete: it ended early, or its chunks are malformed"

#: The values of Content-Encoding that are inflated (RFC 9110, section 8.4.1.3).
_GZIP = {"gzip", "x-gzip"}
_GZIP_FORMAT = 16 + zlib.MAX_WBITS

#: The lists and objects that a body may have: two for each row of the limit, and some for the envelope and
#: the parameters. A body with up to twice the rows is parsed, because the schema has the better message.
MOST_OPENED_PER_ROW, MOST_OPENED_ELSEWHERE = 2, 100


class NoSession(SessionInterface):
    """The session interface of a server without sessions, which reads and sets no cookies."""

    none = NullSession()

    def open_session(self, app: Flask, request: Request) -> NullSession:
        """Return the one empty session that all requests share."""
        return self.none


class ExactMap(Map):
    """A URL map that distinguishes "//admin" from "/admin".

    Werkzeug treats both as one path. A proxy that restricts "/admin" may not, and then forwards "//admin".
    """

    def bind_to_environ(self, environ: Any, *args: Any, **kwargs: Any) -> MapAdapter:
        """Bind the map to a request. Raises NotFound for a path that begins with two slashes."""
        if getattr(environ, "environ", environ).get("PATH_INFO", "").startswith("//"):
            raise NotFound
        return super().bind_to_environ(environ, *args, **kwargs)


class PlainRequest(Request):
    """Flask's request with this project's attributes.

    Its constructor computes the method and the path only.
    """

    #: The application's services; set by the first hook.
    context: Context
    request_id: str = ""
    #: The time at the first hook, in seconds of time.perf_counter.
    started_at: float = 0.0
    #: Whether observers were notified of the arrival, so that they must be notified of the end.
    counted: bool = False
    #: The prediction that the engine is asked for; None on all other routes.
    ask: Ask | None = None
    #: The value of the header Server-Timing; empty without a prediction.
    timing: str = ""

    def __init__(self, environ: dict[str, Any], populate_request: bool = True, shallow: bool = False) -> None:
        self.environ = environ
        self.shallow = shallow
        self.method = environ.get("REQUEST_METHOD", "GET").upper()
        path = _path(environ)
        # Unlike Werkzeug's, the path keeps all of its leading slashes (see ExactMap).
        self.path = path if path[:1] == "/" else f"/{path}"
        if populate_request and not shallow:
            environ["werkzeug.request"] = self

    def __getattr__(self, name: str) -> Any:
        """Run the constructor of Flask's request, at the first read of one of its attributes.

        A prediction reads none of them.
        """
        if "is_whole" in vars(self) or name.startswith("__"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        vars(self)["is_whole"] = True
        for attribute, value in vars(Request(self.environ, populate_request=False)).items():
            vars(self).setdefault(attribute, value)
        return getattr(self, name)

    @property
    def prefix(self) -> str:
        """The path prefix that a proxy or a mount removes, quoted for links: such as "/ml", or empty."""
        text = self.root_path.strip("/")
        return f"/{quote(text, safe=_SAFE_IN_PATH)}" if text else ""

    def close(self) -> None:
        """Close uploaded files, if the request has any."""
        if "files" in vars(self):
            super().close()


#: Return the current request. One call is faster than Flask's proxy, which resolves it at every use.
this_request = cast(Callable[[], PlainRequest], request._get_current_object)  # type: ignore[attr-defined]


def _path(environ: Mapping[str, Any]) -> str:
    """Decode the path. WSGI passes its UTF-8 bytes as Latin-1 (PEP 3333)."""
    text: str = environ.get("PATH_INFO") or ""
    return text if text.isascii() else text.encode("latin-1").decode(errors="replace")


class UnsupportedEncoding(UnsupportedMediaType):
    """An unsupported Content-Encoding. The reply lists the supported one (RFC 9110, section 15.5.16)."""

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        """Return the headers of the reply, with Accept-Encoding."""
        return [*super().get_headers(*args, **kwargs), ("Accept-Encoding", "gzip")]


def read_json(request: PlainRequest) -> tuple[Any, bool]:
    """Return the JSON value of the body, and whether all of its scalars are known to be numbers.

    Raises UnsupportedMediaType, RequestTimeout, RequestEntityTooLarge, BadRequest or MalformedBody.
    """
    environ = request.environ
    gzipped = False
    if environ.get("CONTENT_TYPE") != "application/json" or "HTTP_CONTENT_ENCODING" in environ:
        _check_media_type(request)
        gzipped = _is_gzipped(request)
    settings = request.context.settings
    max_bytes = settings.max_body_bytes
    stream = environ["wsgi.input"]
    if (
        type(stream) is BytesIO
        and "stream" not in vars(request)
        and environ.get("CONTENT_LENGTH", "").isdecimal()
    ):
        # The bytes were read before the view, so a short body stays short.
        length = int(environ["CONTENT_LENGTH"])
        if length > max_bytes:
            raise RequestEntityTooLarge
        body = stream.read(length)
        if len(body) < length:
            raise BadRequest(_INCOMPLETE)
    else:
        body = _wait_for_body(request, max_bytes)
    if gzipped:
        body = _inflate(body, max_bytes)
    return read(body, MOST_OPENED_PER_ROW * settings.max_rows + MOST_OPENED_ELSEWHERE)


def _wait_for_body(request: PlainRequest, max_bytes: int) -> bytes:
    """Read a body that may still be arriving, within the time limit."""
    if (request.content_length or 0) > max_bytes:
        raise RequestEntityTooLarge
    seconds = request.context.settings.body_timeout_seconds
    try:
        with time_limit(seconds, request.environ.get("gunicorn.socket")):
            body = request.get_data(cache=False)
    except TimedOut:
        raise RequestTimeout(
            f"the body did not arrive within {seconds:g} seconds; send it without pauses"
        ) from None
    except RequestEntityTooLarge:
        raise
    except Exception as error:  # each server raises its own errors for bad chunks and closed connections
        raise BadRequest(_INCOMPLETE) from error
    if len(body) < (request.content_length or 0):
        raise BadRequest(_INCOMPLETE)
    if len(body) > max_bytes:
        raise RequestEntityTooLarge
    return body


def _check_media_type(request: PlainRequest) -> None:
    """Raise UnsupportedMediaType for a body that is not declared as JSON in UTF-8."""
    kind = request.mimetype
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        sent = f"not {kind!r}" if kind else "but no Content-Type was sent"
        raise UnsupportedMediaType(
            f"send JSON with the header {_JSON_HEADER} (curl: -H {_JSON_HEADER}), {sent[:100]}"
        )
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if charset not in ("utf-8", "utf8"):
        raise UnsupportedMediaType("JSON is UTF-8; send it without a charset, or with charset=utf-8")


def _is_gzipped(request: PlainRequest) -> bool:
    """Return whether the body is gzipped. Raises UnsupportedEncoding for any other coding."""
    header = (request.content_encoding or "").lower()
    codings = [coding for part in header.split(",") if (coding := part.strip()) not in ("", "identity")]
    if not codings:
        return False
    if len(codings) == 1 and codings[0] in _GZIP:
        return True
    raise UnsupportedEncoding(
        f"send the body uncompressed or with the header 'Content-Encoding: gzip', not {header[:100]!r}"
    )


def _inflate(body: bytes, max_bytes: int) -> bytes:
    """Inflate a gzip stream, at most one byte beyond ``max_bytes``.

    Raises RequestEntityTooLarge, or BadRequest for a stream that is invalid, incomplete, or followed by more.
    """
    stream = zlib.decompressobj(_GZIP_FORMAT)
    try:
        inflated = stream.decompress(body, max_bytes + 1)
    except zlib.error:
        raise BadRequest(
            "the body is not a gzip stream, although its Content-Encoding is gzip, or the stream is damaged"
        ) from None
    if len(inflated) > max_bytes:
        raise RequestEntityTooLarge
    if not stream.eof:
        raise BadRequest("the gzip stream of the body ends early")
    if stream.unused_data:
        raise BadRequest("the body has bytes after the end of its gzip stream; send a single stream")
    return inflated
