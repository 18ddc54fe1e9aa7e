"""Flask with the detours of a request that nothing uses left out.

Everything is an override that Flask documents: its request and session classes, its contexts, ``create_url_adapter``,
``full_dispatch_request`` and ``do_teardown_*``. Hooks of the application, error handlers and view functions work as
ever; a blueprint with hooks of its own, or a receiver of a signal, gets Flask's own way with all of its steps.
docs/performance.md has what each detour costs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, cast

from flask import Flask, Request, Response
from flask.ctx import AppContext, RequestContext, _sentinel
from flask.globals import _cv_app, request_ctx
from flask.sessions import NullSession, SessionInterface
from flask.signals import (
    appcontext_popped,
    appcontext_pushed,
    appcontext_tearing_down,
    request_finished,
    request_started,
    request_tearing_down,
)
from werkzeug.exceptions import NotFound
from werkzeug.routing import MapAdapter

from app.api.json_provider import OrjsonProvider
from app.api.request import PlainRequest

#: So many paths are looked up in the URL map once only.
KEPT_MATCHES = 1024
RULE_OF_THE_REQUEST = {"return_rule": True}

#: The context of the request that is answered: looked for once, where Flask's proxy does so at every use.
_this_context = cast(Callable[[], RequestContext], request_ctx._get_current_object)  # type: ignore[attr-defined]


class NoSession(SessionInterface):
    """There are no sessions: nothing is read from a cookie, nothing is written to one."""

    none = NullSession()

    def open_session(self, app: Flask, request: Request) -> NullSession:
        """The same empty one for everybody."""
        return self.none


class Matches:
    """The URL adapter of a request: it remembers what the map found for a method and path, and is made only if need be."""

    def __init__(self, app: LeanFlask, request: Request) -> None:
        self._app = app
        self._request = request

    def match(self, *args: Any, **kwargs: Any) -> Any:
        """As ``MapAdapter.match``; what Flask asks for is remembered, unless it raises."""
        if args or kwargs != RULE_OF_THE_REQUEST:
            return self.adapter.match(*args, **kwargs)
        known = self._app.known_matches
        key = (self._request.method, self._request.path)
        found = known.get(key)
        if found is None:
            if self._request.path.startswith("//"):
                raise NotFound  # the map would look for the path behind the slashes
            found = self.adapter.match(**kwargs)
            if len(known) >= KEPT_MATCHES:
                known.clear()
            known[key] = found
        rule, values = found
        return rule, dict(values)

    @cached_property
    def adapter(self) -> MapAdapter:
        """Flask's own."""
        made = Flask.create_url_adapter(self._app, self._request)
        assert made is not None
        return made

    def __getattr__(self, name: str) -> Any:
        return getattr(self.adapter, name)


class LeanAppContext(AppContext):
    """The application's context of a request: it sends signals to those who receive them, and its URL adapter is made for
    those who ask."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.g = app.app_ctx_globals_class()
        self._cv_tokens = []

    def __getattr__(self, name: str) -> Any:
        if name != "url_adapter":
            raise AttributeError(name)
        self.url_adapter = self.app.create_url_adapter(None)
        return self.url_adapter

    def push(self) -> None:
        """As Flask's."""
        if appcontext_pushed.receivers:
            super().push()
        else:
            self._cv_tokens.append(_cv_app.set(self))

    def pop(self, exc: Any = _sentinel) -> None:
        """As Flask's."""
        usual = exc is not _sentinel and len(self._cv_tokens) == 1 and _cv_app.get() is self
        if not usual or appcontext_popped.receivers:
            super().pop(exc)
            return
        try:
            self.app.do_teardown_appcontext(exc)
        finally:
            _cv_app.reset(self._cv_tokens.pop())


class LeanFlask(Flask):
    """An ordinary Flask application, with orjson and without sessions."""

    request_class = PlainRequest
    session_interface = NoSession()
    json_provider_class = OrjsonProvider

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.known_matches: dict[tuple[str, str], Any] = {}
        self._short: dict[str, Callable[..., Any] | None] = {}

    def create_url_adapter(self, request: Request | None) -> Any:
        """As Flask's; with TRUSTED_HOSTS the host is looked at in every request, so nothing is remembered."""
        if request is None or self.config["TRUSTED_HOSTS"] is not None:
            return super().create_url_adapter(request)
        return Matches(self, request)

    def app_context(self) -> AppContext:
        """As Flask's."""
        return LeanAppContext(self)

    def request_context(self, environ: dict[str, Any]) -> RequestContext:
        """As Flask's; without sessions there is none to be opened."""
        none = NoSession.none if type(self.session_interface) is NoSession else None
        return RequestContext(self, environ, session=none)

    def full_dispatch_request(self) -> Response:
        """Flask's steps: the hooks, the view, the error handlers, the hooks again."""
        context = _this_context()
        request = context.request
        view = None
        if request.url_rule is not None and request.method != "OPTIONS":
            endpoint = request.url_rule.endpoint
            view = self._short[endpoint] if endpoint in self._short else self._shorten(endpoint)
        if view is None or request_started.receivers or request_finished.receivers:
            return super().full_dispatch_request()
        self._got_first_request = True
        try:
            for hook in self.before_request_funcs.get(None, ()):
                answer: Any = hook()
                if answer is not None:
                    break
            else:
                answer = view(**(request.view_args or {}))
        except Exception as error:
            answer = self.handle_user_exception(error)
        response = answer if isinstance(answer, Response) else self.make_response(answer)
        for after in context._after_request_functions:
            response = self.ensure_sync(after)(response)
        for after in reversed(self.after_request_funcs.get(None, ())):
            response = after(response)
        return response

    def do_teardown_request(self, exc: Any = None) -> None:
        """As Flask's."""
        hooks = self.teardown_request_funcs
        if request_tearing_down.receivers or len(hooks) > (None in hooks):
            super().do_teardown_request(exc)
        else:
            for hook in reversed(hooks.get(None, ())):
                hook(exc)

    def do_teardown_appcontext(self, exc: Any = None) -> None:
        """As Flask's."""
        if self.teardown_appcontext_funcs or appcontext_tearing_down.receivers:
            super().do_teardown_appcontext(exc)

    def _shorten(self, endpoint: str) -> Callable[..., Any] | None:
        """The view of an endpoint that takes the short way, looked up once: hooks cannot be added after a request."""
        hooked = {*self.before_request_funcs, *self.after_request_funcs, *self.url_value_preprocessors}
        parts = endpoint.split(".")[:-1]
        blueprints = {".".join(parts[: i + 1]) for i in range(len(parts))}
        usual = not blueprints & hooked and not self.url_value_preprocessors.get(None)
        asynchronous = any(
            self.ensure_sync(hook) is not hook
            for hooks in (self.before_request_funcs, self.after_request_funcs, self.teardown_request_funcs)
            for hook in hooks.get(None, ())
        )
        view = self.ensure_sync(self.view_functions[endpoint]) if usual and not asynchronous else None
        self._short[endpoint] = view
        return view
