"""The Flask application, with the detours of a request that nothing here uses left out.

Everything is an override that Flask documents: its request and session classes, ``create_url_adapter``,
``full_dispatch_request`` and ``do_teardown_*``. Whoever hangs further hooks or signal receivers on the application gets
Flask's own way with all of its steps. docs/performance.md has what each detour costs.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from flask import Flask, Request, Response
from flask.globals import request_ctx
from flask.sessions import NullSession, SessionInterface
from flask.signals import appcontext_tearing_down, request_finished, request_started, request_tearing_down
from werkzeug.routing import MapAdapter

from app.api import hooks
from app.api.request import PlainRequest

#: So many paths are looked up in the URL map once only.
KEPT_MATCHES = 1024


class NoSession(SessionInterface):
    """There are no sessions: nothing is read from a cookie, nothing is written to one."""

    _none = NullSession()

    def open_session(self, app: Flask, request: Request) -> NullSession:
        """The same empty one for everybody."""
        return self._none


class Matches:
    """The URL adapter of a request: it remembers what the map found for a method and path, and is made only if need be."""

    def __init__(self, app: Application, request: Request) -> None:
        self._app = app
        self._request = request

    def match(self, **kwargs: Any) -> Any:
        """As ``MapAdapter.match``; what it raises is not remembered."""
        known = self._app.known_matches
        key = (self._request.method, self._request.path)
        found = known.get(key)
        if found is None:
            found = self.adapter.match(**kwargs)
            if len(known) < KEPT_MATCHES:
                known[key] = found
        return found

    @cached_property
    def adapter(self) -> MapAdapter:
        """Flask's own."""
        made = Flask.create_url_adapter(self._app, self._request)
        assert made is not None
        return made

    def __getattr__(self, name: str) -> Any:
        return getattr(self.adapter, name)


class Application(Flask):
    """``hot`` has the endpoints whose requests take the short way."""

    request_class = PlainRequest
    session_interface = NoSession()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.hot: set[str] = set()
        self.known_matches: dict[tuple[str, str], Any] = {}

    def create_url_adapter(self, request: Request | None) -> Any:
        """As Flask's."""
        return super().create_url_adapter(None) if request is None else Matches(self, request)

    @cached_property
    def unextended(self) -> bool:
        """Whether nobody has added hooks for all requests; looked at once, because later none can be added."""
        return (
            self.before_request_funcs.get(None) == [hooks.begin]
            and self.after_request_funcs.get(None) == [hooks.end]
            and self.teardown_request_funcs.get(None) == [hooks.leave]
            and not self.url_value_preprocessors
            and not self.teardown_appcontext_funcs
        )

    def full_dispatch_request(self) -> Response:
        """Flask's steps for a view of ``hot``: its hooks, the view, the error handlers."""
        request = request_ctx.request
        rule = request.url_rule
        if rule is None or rule.endpoint not in self.hot or request.method != "POST" or not self.unextended:
            return super().full_dispatch_request()
        if request_started.receivers or request_finished.receivers:
            return super().full_dispatch_request()
        self._got_first_request = True
        try:
            hooks.begin()
            answer: Any = self.view_functions[rule.endpoint](**(request.view_args or {}))
        except Exception as error:
            answer = self.handle_user_exception(error)
        return hooks.end(answer if isinstance(answer, Response) else self.make_response(answer))

    def do_teardown_request(self, exc: Any = None) -> None:
        """As Flask's."""
        if self.unextended and not request_tearing_down.receivers and not self._of_blueprints:
            hooks.leave(exc)
        else:
            super().do_teardown_request(exc)

    def do_teardown_appcontext(self, exc: Any = None) -> None:
        """As Flask's."""
        if self.teardown_appcontext_funcs or appcontext_tearing_down.receivers:
            super().do_teardown_appcontext(exc)

    @cached_property
    def _of_blueprints(self) -> bool:
        return any(name is not None for name in self.teardown_request_funcs)

    def shorten(self, *views: Any) -> None:
        """Let the POST routes of these views take the short way, but for those whose blueprint has hooks of its own."""
        extended = {*self.before_request_funcs, *self.after_request_funcs, *self.teardown_request_funcs}
        self.hot |= {
            endpoint
            for endpoint, view in self.view_functions.items()
            if view in views and endpoint.rpartition(".")[0] not in extended
        }
