"""What a view can reach: the objects that the factory hung on the application."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from flask import Flask, current_app

from app.config import Settings
from app.monitoring.access_log import AccessLog
from app.monitoring.metrics import Metrics
from app.serving.engine import Engine
from app.serving.messages import Target
from schemas.predict import PredictSchemas

KEY = "plumbline"


@dataclass(slots=True)
class Context:
    """One application's engine, metrics, access log and settings, and the request schemas of each version.

    ``start`` is called before the first request, ``draining`` tells whether the process is about to end.
    """

    settings: Settings
    engine: Engine
    metrics: Metrics
    access_log: AccessLog
    start: Callable[[], None]
    draining: Callable[[], bool] = lambda: False
    _schemas: dict[Target, PredictSchemas] = field(default_factory=dict)

    def schemas(self, target: Target) -> PredictSchemas:
        """The schemas of a version, made at its first use; raises LoadError when its manifest cannot be trusted."""
        found = self._schemas.get(target)
        if found is None:
            signature = self.engine.catalog.manifest(target).signature
            found = self._schemas[target] = PredictSchemas(signature, max_rows=self.settings.max_rows)
        return found


def context(app: Flask | None = None) -> Context:
    """The context of this application, by default the one whose request is handled."""
    return cast(Context, (app or current_app).extensions[KEY])
