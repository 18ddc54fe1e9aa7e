"""The request object of views and hooks, and how a request is matched with a route."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast
from urllib.parse import quote

from flask import Flask, Request, request
from flask.sessions import NullSession, SessionInterface
from werkzeug.exceptions import NotFound
from werkzeug.routing import Map, MapAdapter

from app.api.context import Context
from app.inference.messages import Ask

#: RFC 3986, section 3.3; what is quoted already stays so.
_SAFE_IN_PATH = "/%-._~!$&'()*+,;=:@"


class NoSession(SessionInterface):
    """The session interface of a server without sessions: no cookie is read, and none is set."""

    none = NullSession()

    def open_session(self, app: Flask, request: Request) -> NullSession:
        """Return the one empty session that all requests share."""
        return self.none


class ExactMap(Map):
    """A URL map that tells "//admin" from "/admin".

    Werkzeug takes both for the same path. A proxy that restricts "/admin" does not: it lets "//admin" pass.
    """

    def bind_to_environ(self, environ: Any, *args: Any, **kwargs: Any) -> MapAdapter:
        """Bind to a request, as Flask does; raises NotFound for a path that begins with two slashes."""
        if getattr(environ, "environ", environ).get("PATH_INFO", "").startswith("//"):
            raise NotFound
        return super().bind_to_environ(environ, *args, **kwargs)


class PlainRequest(Request):
    """Flask's request with attributes of this project; only the method and the path are computed at once."""

    #: The application's services; set by the first hook.
    context: Context
    request_id: str = ""
    #: The moment of the first hook (time.perf_counter).
    began: float = 0.0
    #: Whether observers have heard that it arrived.
    counted: bool = False
    #: What the engine is asked; None for a request that asks no model.
    ask: Ask | None = None
    #: The header Server-Timing of a prediction.
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
        """Run the constructor of Flask's request when an attribute of it is read; a prediction reads none."""
        if "is_whole" in vars(self) or name.startswith("__"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        vars(self)["is_whole"] = True
        for later, value in vars(Request(self.environ, populate_request=False)).items():
            vars(self).setdefault(later, value)
        return getattr(self, name)

    @property
    def prefix(self) -> str:
        """The path prefix that a proxy or a mount removes, as links need it: "/ml", or an empty text."""
        text = self.root_path.strip("/")
        return f"/{quote(text, safe=_SAFE_IN_PATH)}" if text else ""

    def close(self) -> None:
        """Close uploaded files, if the request has any."""
        if "files" in vars(self):
            super().close()


#: Returns the current request. One call, where Flask's proxy resolves it at every use.
this_request = cast(Callable[[], PlainRequest], request._get_current_object)  # type: ignore[attr-defined]


def _path(environ: Mapping[str, Any]) -> str:
    """The path as text: PEP 3333 passes its bytes as Latin-1, and they are UTF-8."""
    text: str = environ.get("PATH_INFO") or ""
    return text if text.isascii() else text.encode("latin-1").decode(errors="replace")
