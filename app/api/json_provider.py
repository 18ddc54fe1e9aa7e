"""How replies become JSON: orjson as Flask's own JSON provider."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
from flask import Response
from flask.json.provider import JSONProvider
from werkzeug.datastructures import Headers

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


class OrjsonProvider(JSONProvider):
    """Floats keep every bit, keys keep their order, text stays UTF-8."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        """JSON text."""
        return orjson.dumps(obj, option=OPTIONS).decode()

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """The value of a JSON text; raises orjson.JSONDecodeError, which is a ValueError."""
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """A JSON reply, without going through text."""
        return json_reply(self._prepare_response_obj(args, kwargs))


class JsonReply(Response):
    """A reply of one JSON text. Its headers stay a list of ``pairs`` until somebody asks for ``headers``."""

    response: list[bytes]

    def __init__(self, body: bytes, status: int = 200, content_type: str = "application/json") -> None:
        # Nothing of Response.__init__ is needed: what it would work out is given.
        self.response = [body]
        self.direct_passthrough = False
        self._on_close = []
        self._status, self._status_code = STATUS_LINES[status], status
        self.pairs = [("Content-Type", content_type), ("Content-Length", str(len(body)))]

    @cached_property
    def headers(self) -> Headers:  # type: ignore[override]
        """The pairs, which count no more from now on."""
        return Headers(self.pairs)

    @property
    def is_opened(self) -> bool:
        """Whether somebody has asked for ``headers``."""
        return "headers" in vars(self)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """As a WSGI application."""
        if self.is_opened or self._on_close or environ["REQUEST_METHOD"] == "HEAD":
            return super().__call__(environ, start_response)
        start_response(self._status, self.pairs)
        return self.response


def json_reply(value: Any, status: int = 200, content_type: str = "application/json") -> JsonReply:
    """A reply with this JSON value as its body."""
    return JsonReply(orjson.dumps(value, option=OPTIONS), status, content_type)
