"""How a request's body is read: JSON only, complete, in time and within its limit."""

from __future__ import annotations

from typing import Any

from flask import request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, RequestTimeout, UnsupportedMediaType

from app.api.context import context
from app.serving.deadline import TimedOut, time_limit
from schemas.json_body import parse

HEADER = "'Content-Type: application/json'"
CUT_SHORT = "the body did not arrive whole: it ended early, or its chunks are malformed"


def read_json() -> Any:
    """The JSON value of the body.

    Raises UnsupportedMediaType, RequestTimeout, RequestEntityTooLarge, BadRequest or MalformedBody.
    """
    _check_media_type()
    settings = context().settings
    seconds = settings.body_timeout_seconds
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
    if len(body) > settings.max_body_bytes:
        raise RequestEntityTooLarge
    return parse(body)


def _check_media_type() -> None:
    kind = request.mimetype
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        came = f"not {kind!r}" if kind else "but no Content-Type came"
        raise UnsupportedMediaType(f"send JSON with the header {HEADER} (curl: -H {HEADER}), {came[:100]}")
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if charset not in ("utf-8", "utf8"):
        raise UnsupportedMediaType("JSON is UTF-8; send it without a charset, or with charset=utf-8")
    if request.content_encoding not in (None, "", "identity"):
        raise UnsupportedMediaType("send the body as it is, without a Content-Encoding")
