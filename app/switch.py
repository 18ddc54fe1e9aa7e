"""The WSGI callable that gunicorn holds: it passes each request to the application of the moment."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from app.api.context import context
from app.api.flask_class import FlaskClass, choose_class, class_of
from app.catalog.shared import Shared
from app.catalog.snapshot import Snapshot
from app.config import load_settings
from app.factory import create_app
from app.wiring import Services, wire

log = logging.getLogger("plumbline")

#: Between two versions whose routes are made requests have their turn.
PAUSE_SECONDS = 0.001

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from flask import Flask


class Switch:
    """Builds nothing until it is started or called, so that importing ``wsgi`` costs no more than its imports."""

    def __init__(self, choose: Callable[[], FlaskClass] = choose_class) -> None:
        self._choose = choose
        self.services: Services | None = None
        self._app: Flask | None = None

    def start(
        self,
        run_dir: Path | None = None,
        when_ready: Callable[[], None] = lambda: None,
        draining: Callable[[], bool] = lambda: False,
        shared: Shared | None = None,
        output: TextIO | None = None,
    ) -> None:
        """Make the application and begin to load models; raises ConfigError."""
        services = wire(load_settings(), shared, run_dir, output)
        flask_class = self._choose()
        if flask_class.reason:
            log.warning("requests take Flask's ordinary path, which is slower: %s", flask_class.reason)
        app = create_app(services=services, flask_class=flask_class)
        context(app).draining = draining
        self.services, self._app = services, app
        services.follower.on_versions = self._rebuild
        services.start(run_dir, when_ready)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer with the application of the moment."""
        if self._app is None:
            self.start()
        assert self._app is not None
        return self._app.wsgi_app(environ, start_response)

    def _rebuild(self, snapshot: Snapshot) -> None:
        """Make an application with the routes of this snapshot, in slices beside the requests, and let it take over."""
        assert self.services is not None and self._app is not None
        here = context(self._app)
        here.forget(snapshot)
        pause = partial(self.services.concurrency.pause, PAUSE_SECONDS)
        flask_class = class_of(self._app)
        self._app = create_app(services=self.services, here=here, pause=pause, flask_class=flask_class)

    def close(self) -> None:
        """Let go of everything that ``start`` began."""
        if self.services is not None:
            self.services.close()
        self.services, self._app = None, None
