"""JSON replies: orjson as Flask's JSON provider, and the reply class of JSON texts."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
from flask import Response
from flask.json.provider import JSONProvider

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


class OrjsonProvider(JSONProvider):
    """Flask's JSON through orjson: floats keep every bit, keys keep their order, text stays UTF-8."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        """Serialise a value as JSON text; raises TypeError for a value that has no JSON."""
        return orjson.dumps(obj, option=OPTIONS).decode()

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Parse a JSON text; raises orjson.JSONDecodeError, which is a ValueError."""
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """Build the reply of ``jsonify``: several arguments become a list, named ones an object."""
        if args and kwargs:
            raise TypeError("jsonify() takes values or names, not both")
        return json_reply(kwargs or (args[0] if len(args) == 1 else args or None))


class JsonReply(Response):
    """A reply of one JSON text. At first it has three attributes only: ``response``, ``code`` and ``pairs``.

    When any other attribute is read, such as ``headers``, the constructor of ``Response`` runs and sets all
    of them. So the class uses no private name of Werkzeug, whatever a version of it keeps in a response.
    """

    response: list[bytes]

    def __init__(self, body: bytes, status: int = 200, content_type: str = "application/json") -> None:
        self.response = [body]
        self.code = status
        #: The headers while the reply is plain; from then on ``headers`` counts.
        self.pairs = [("Content-Type", content_type), ("Content-Length", str(len(body)))]

    def __getattr__(self, name: str) -> Any:
        if "is_whole" in vars(self) or name.startswith("__"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        attributes = dict(vars(self), is_whole=True)
        vars(self)["is_whole"] = True
        super().__init__(status=STATUS_LINES[self.code], headers=self.pairs)
        vars(self).update(attributes)
        return getattr(self, name)

    @property
    def is_plain(self) -> bool:
        """Whether the reply has only its three attributes, so that ``pairs`` are its headers."""
        return len(vars(self)) == 3

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Send the reply as a WSGI application."""
        if len(vars(self)) != 3 or environ["REQUEST_METHOD"] == "HEAD":
            return super().__call__(environ, start_response)
        start_response(STATUS_LINES[self.code], self.pairs)
        return self.response


def json_reply(value: Any, status: int = 200, content_type: str = "application/json") -> JsonReply:
    """Return a reply with a JSON value as its body."""
    return JsonReply(orjson.dumps(value, option=OPTIONS), status, content_type)
