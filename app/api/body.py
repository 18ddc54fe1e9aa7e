"""How a request's body is read: JSON only, complete, in time and within its limit."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, RequestTimeout, UnsupportedMediaType

from app.api.request import PlainRequest
from app.serving.deadline import TimedOut, time_limit
from schemas.json_body import read

HEADER = "'Content-Type: application/json'"
CUT_SHORT = "the body did not arrive whole: it ended early, or its chunks are malformed"


def read_json(request: PlainRequest) -> tuple[Any, bool]:
    """The JSON value of the body, and whether it is known to hold numbers only, as ``json_body.read`` says.

    Raises UnsupportedMediaType, RequestTimeout, RequestEntityTooLarge, BadRequest or MalformedBody.
    """
    environ = request.environ
    if environ.get("CONTENT_TYPE") != "application/json" or "HTTP_CONTENT_ENCODING" in environ:
        _check_media_type(request)
    most = request.here.settings.max_body_bytes
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
        return read(body)
    return read(_wait_for_body(request, most))


def _wait_for_body(request: PlainRequest, most: int) -> bytes:
    """A body that is read as it comes, of at most so many bytes."""
    seconds = request.here.settings.body_timeout_seconds
    try:
        with time_limit(seconds):
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
    if request.content_encoding not in (None, "", "identity"):
        raise UnsupportedMediaType("send the body as it is, without a Content-Encoding")
