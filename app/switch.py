"""The WSGI callable that gunicorn holds: it passes each request to the application of the moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.api.context import context
from app.config import load_settings
from app.factory import create_app
from app.serving.shared import Shared
from app.wiring import Services, wire

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from flask import Flask


class Switch:
    """Builds nothing until it is started or called, so that importing ``wsgi`` costs no more than its imports."""

    def __init__(self) -> None:
        self.services: Services | None = None
        self._app: Flask | None = None

    def start(
        self,
        run_dir: Path | None = None,
        when_ready: Callable[[], None] = lambda: None,
        draining: Callable[[], bool] = lambda: False,
        shared: Shared | None = None,
    ) -> None:
        """Make the application and begin to load models; raises ConfigError."""
        services = wire(load_settings(), shared)
        app = create_app(services=services)
        context(app).draining = draining
        services.start(run_dir, when_ready)
        self.services, self._app = services, app

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer with the application of the moment."""
        if self._app is None:
            self.start()
        assert self._app is not None
        return self._app(environ, start_response)

    def close(self) -> None:
        """Let go of everything that ``start`` began."""
        if self.services is not None:
            self.services.close()
        self.services, self._app = None, None
