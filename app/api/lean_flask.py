"""A fast path through Flask, which skips the steps that this project does not use.

``LeanFlask`` overrides methods that Flask documents, but not only with what it documents. It relies on the
order in which Flask calls them, and on private names (``_cv_app``, ``_cv_tokens``,
``_after_request_functions``), which docs/design-notes.md lists with the tests that fail when one moves. It is
therefore used only with the versions in ``flask_class.TESTED``.

Hooks of the application, error handlers, view functions and signals work as they do in Flask. A blueprint
with hooks of its own, an asynchronous hook, a receiver of a signal and the first request of an endpoint take
Flask's own way. docs/performance.md has the cost of what is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, cast

from flask import Flask, Request, Response
from flask.ctx import AppContext, RequestContext
from flask.globals import _cv_app, request_ctx
from flask.signals import (
    appcontext_popped,
    appcontext_pushed,
    appcontext_tearing_down,
    request_finished,
    request_started,
    request_tearing_down,
)
from werkzeug.routing import MapAdapter

from app.api.request import NoSession

#: How many results of the URL map are kept, by method and path.
KEPT_MATCHES = 1024
RULE_OF_THE_REQUEST = {"return_rule": True}
NOT_GIVEN = object()

#: Return the context of the current request. One call is faster than Flask's proxy, which resolves it at
#: every use.
_this_context = cast(Callable[[], RequestContext], request_ctx._get_current_object)  # type: ignore[attr-defined]


class Matches:
    """The URL adapter of a request.

    It caches matches by method and path, and builds Flask's adapter for all other uses.
    """

    def __init__(self, app: LeanFlask, request: Request) -> None:
        self._app = app
        self._request = request

    def match(self, *args: Any, **kwargs: Any) -> Any:
        """Match as ``MapAdapter.match`` does; the result of Flask's own call is kept, unless it raises."""
        if args or kwargs != RULE_OF_THE_REQUEST:
            return self.adapter.match(*args, **kwargs)
        known = self._app.known_matches
        key = (self._request.method, self._request.path)
        matched = known.get(key)
        if matched is None:
            matched = self.adapter.match(**kwargs)
            if len(known) >= KEPT_MATCHES:
                known.clear()
            known[key] = matched
        rule, values = matched
        return rule, dict(values)

    @cached_property
    def adapter(self) -> MapAdapter:
        """Flask's own adapter."""
        adapter = Flask.create_url_adapter(self._app, self._request)
        assert adapter is not None
        return adapter

    def __getattr__(self, name: str) -> Any:
        return getattr(self.adapter, name)


class LeanAppContext(AppContext):
    """The application context of a request.

    It sends signals only if they have receivers, and builds its URL adapter at the first read.
    """

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
        """Make this the current application context."""
        if appcontext_pushed.receivers:
            super().push()
        else:
            self._cv_tokens.append(_cv_app.set(self))

    def pop(self, exc: Any = NOT_GIVEN) -> None:
        """Run the teardown functions and restore the context before this one."""
        if exc is NOT_GIVEN:
            super().pop()
            return
        usual = (exc is None or isinstance(exc, BaseException)) and len(self._cv_tokens) == 1
        if not usual or _cv_app.get() is not self or appcontext_popped.receivers:
            super().pop(exc)
            return
        try:
            self.app.do_teardown_appcontext(exc)
        finally:
            _cv_app.reset(self._cv_tokens.pop())


class LeanFlask(Flask):
    """A Flask application whose requests take the fast path."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.known_matches: dict[tuple[str, str], Any] = {}
        self._fast_views: dict[str, Callable[..., Any] | None] = {}

    def create_url_adapter(self, request: Request | None) -> Any:
        """Keep matches, unless there are TRUSTED_HOSTS, which Flask compares with each request."""
        if request is None or self.config["TRUSTED_HOSTS"] is not None:
            return super().create_url_adapter(request)
        return Matches(self, request)

    def app_context(self) -> AppContext:
        """An application context without unused steps."""
        return LeanAppContext(self)

    def request_context(self, environ: dict[str, Any]) -> RequestContext:
        """Flask's own request context; where there are no sessions, none has to be opened."""
        session = NoSession.none if type(self.session_interface) is NoSession else None
        return RequestContext(self, environ, session=session)

    def full_dispatch_request(self) -> Response:
        """Call the hooks, the view, the error handlers where it raises, and the hooks again."""
        context = _this_context()
        request = context.request
        view = None
        if request.url_rule is not None and request.method != "OPTIONS":
            endpoint = request.url_rule.endpoint
            view = self._fast_views.get(endpoint)
            if view is None and endpoint not in self._fast_views:
                self._fast_views[endpoint] = self._fast_view(endpoint)
        if view is None or request_started.receivers or request_finished.receivers:
            return super().full_dispatch_request()
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
        """Call the application's teardown functions; blueprints with some of their own take Flask's way."""
        hooks = self.teardown_request_funcs
        if request_tearing_down.receivers or len(hooks) > (None in hooks):
            super().do_teardown_request(exc)
        else:
            for hook in reversed(hooks.get(None, ())):
                hook(exc)

    def do_teardown_appcontext(self, exc: Any = None) -> None:
        """Call the teardown functions of the application context, if there are any."""
        if self.teardown_appcontext_funcs or appcontext_tearing_down.receivers:
            super().do_teardown_appcontext(exc)

    def _fast_view(self, endpoint: str) -> Callable[..., Any] | None:
        """The view of an endpoint that may take the fast path, else None.

        It is looked up at the endpoint's first request. That request takes Flask's own way, which forbids any
        further hooks from then on, so the answer stays right.
        """
        hooked = {*self.before_request_funcs, *self.after_request_funcs, *self.url_value_preprocessors}
        parts = endpoint.split(".")[:-1]
        blueprints = {".".join(parts[: i + 1]) for i in range(len(parts))}
        if blueprints & hooked or self.url_value_preprocessors.get(None):
            return None
        asynchronous = any(
            self.ensure_sync(hook) is not hook
            for hooks in (self.before_request_funcs, self.after_request_funcs, self.teardown_request_funcs)
            for hook in hooks.get(None, ())
        )
        return None if asynchronous else self.ensure_sync(self.view_functions[endpoint])
