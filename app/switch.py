"""The WSGI callable of gunicorn, which forwards each request to the current Flask application.

A new application replaces the current one when a published version adds routes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from app.api.context import context_of
from app.api.flask_class import FlaskClass, choose_class, class_of
from app.catalog.shared import Shared
from app.catalog.snapshot import Snapshot
from app.config import load_settings
from app.factory import create_app
from app.wiring import Services, wire

log = logging.getLogger("plumbline")

#: The pause between the routes of two versions, in which requests run.
PAUSE_SECONDS = 0.001

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from flask import Flask


class Switch:
    """The holder of the current application.

    It builds nothing until it is started or called for the first time.
    """

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
        """Build the application and begin to load models. Raises ConfigError and RunDirError.

        ``when_ready`` is called after the start-up loads, and ``draining`` tells whether the worker shuts
        down. The other parameters are those of ``wire``.
        """
        services = wire(load_settings(), shared, run_dir, output)
        flask_class = self._choose()
        if flask_class.reason:
            log.warning("requests take Flask's ordinary path, which is slower: %s", flask_class.reason)
        app = create_app(services=services, flask_class=flask_class)
        context_of(app).draining = draining
        self.services, self._app = services, app
        services.follower.on_versions = self._rebuild
        services.start(run_dir, when_ready)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request with the current application."""
        if self._app is None:
            self.start()
        assert self._app is not None
        return self._app.wsgi_app(environ, start_response)

    def _rebuild(self, snapshot: Snapshot) -> None:
        """Build an application with the routes of the snapshot, in slices, and make it the current one."""
        assert self.services is not None and self._app is not None
        context = context_of(self._app)
        context.forget(snapshot)
        pause = partial(self.services.concurrency.pause, PAUSE_SECONDS)
        flask_class = class_of(self._app)
        self._app = create_app(services=self.services, context=context, pause=pause, flask_class=flask_class)

    def close(self) -> None:
        """Release everything that ``start`` created."""
        if self.services is not None:
            self.services.close()
        self.services, self._app = None, None
