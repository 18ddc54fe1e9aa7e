"""How replies become JSON: orjson as Flask's own JSON provider."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Response
from flask.json.provider import JSONProvider

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


def json_reply(value: Any, status: int = 200, content_type: str = "application/json") -> Response:
    """A reply with this JSON value as its body."""
    return Response(orjson.dumps(value, option=OPTIONS), status, content_type=content_type)
