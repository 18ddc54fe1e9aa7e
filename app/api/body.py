"""How a request's body is read: JSON only, as it is or gzipped, complete, in time and within its limit."""

from __future__ import annotations

import zlib
from io import BytesIO
from typing import Any

from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, RequestTimeout, UnsupportedMediaType

from app.api.request import PlainRequest
from app.concurrency.time_limit import TimedOut, time_limit
from schemas.json_body import read

HEADER = "'Content-Type: application/json'"
CUT_SHORT = "the body did not arrive whole: it ended early, or its chunks are malformed"
#: What may stand in Content-Encoding beside nothing and "identity" (RFC 9110, section 8.4.1.3).
GZIP = {"gzip", "x-gzip"}
_GZIP_FORMAT = 16 + zlib.MAX_WBITS

#: Every row is one list or object, and the envelope and parameters are a few; rows up to twice the limit are told so by
#: the schema, which knows better what the rows are.
MOST_OPENED_PER_ROW, MOST_OPENED_BESIDE = 2, 100


class UnsupportedEncoding(UnsupportedMediaType):
    """The reply says what is taken (RFC 9110, section 15.5.16)."""

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        """With Accept-Encoding."""
        return [*super().get_headers(*args, **kwargs), ("Accept-Encoding", "gzip")]


def read_json(request: PlainRequest) -> tuple[Any, bool]:
    """The JSON value of the body, and whether it is known to hold numbers only, as ``json_body.read`` says.

    Raises UnsupportedMediaType, RequestTimeout, RequestEntityTooLarge, BadRequest or MalformedBody.
    """
    environ = request.environ
    gzipped = False
    if environ.get("CONTENT_TYPE") != "application/json" or "HTTP_CONTENT_ENCODING" in environ:
        _check_media_type(request)
        gzipped = _is_gzipped(request)
    settings = request.context.settings
    most = settings.max_body_bytes
    stream = environ["wsgi.input"]
    if (
        type(stream) is BytesIO
        and "stream" not in vars(request)
        and environ.get("CONTENT_LENGTH", "").isdecimal()
    ):
        # It is here as a whole, or it will never be.
        length = int(environ["CONTENT_LENGTH"])
        if length > most:
            raise RequestEntityTooLarge
        body = stream.read(length)
        if len(body) < length:
            raise BadRequest(CUT_SHORT)
    else:
        body = _wait_for_body(request, most)
    if gzipped:
        body = _inflate(body, most)
    return read(body, MOST_OPENED_PER_ROW * settings.max_rows + MOST_OPENED_BESIDE)


def _wait_for_body(request: PlainRequest, most: int) -> bytes:
    """A body that is read as it comes, of at most so many bytes."""
    if (request.content_length or 0) > most:
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
    except Exception as error:  # each server has its own errors for bad chunks and closed connections
        raise BadRequest(CUT_SHORT) from error
    if len(body) < (request.content_length or 0):
        raise BadRequest(CUT_SHORT)
    if len(body) > most:
        raise RequestEntityTooLarge
    return body


def _check_media_type(request: PlainRequest) -> None:
    kind = request.mimetype
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        came = f"not {kind!r}" if kind else "but no Content-Type came"
        raise UnsupportedMediaType(f"send JSON with the header {HEADER} (curl: -H {HEADER}), {came[:100]}")
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if charset not in ("utf-8", "utf8"):
        raise UnsupportedMediaType("JSON is UTF-8; send it without a charset, or with charset=utf-8")


def _is_gzipped(request: PlainRequest) -> bool:
    """Whether the body has to be inflated; raises UnsupportedEncoding for any other coding."""
    said = (request.content_encoding or "").lower()
    codings = [coding for part in said.split(",") if (coding := part.strip()) not in ("", "identity")]
    if not codings:
        return False
    if len(codings) == 1 and codings[0] in GZIP:
        return True
    raise UnsupportedEncoding(
        f"send the body as it is or with the header 'Content-Encoding: gzip', not {said[:100]!r}"
    )


def _inflate(body: bytes, most: int) -> bytes:
    """What a gzip stream holds. It is inflated no further than one byte beyond ``most``.

    Raises RequestEntityTooLarge, or BadRequest for what is no gzip stream, or not a whole one.
    """
    stream = zlib.decompressobj(_GZIP_FORMAT)
    try:
        inflated = stream.decompress(body, most + 1)
    except zlib.error:
        raise BadRequest(
            "the body is no gzip stream, although its Content-Encoding says so, or it is damaged"
        ) from None
    if len(inflated) > most:
        raise RequestEntityTooLarge
    if not stream.eof:
        raise BadRequest("the gzip stream of the body ends early")
    if stream.unused_data:
        raise BadRequest("the body has more bytes behind the end of its gzip stream; send it as one stream")
    return inflated
