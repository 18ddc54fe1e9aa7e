"""The context of an application: the services that its views use, and where a view finds them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

from flask import Flask, current_app

from app.catalog.snapshot import Snapshot
from app.config import Settings
from app.engine.engine import Engine
from app.inference.messages import Observer, Reply, listeners
from app.monitoring.metrics import Metrics
from app.operations.operations import Operations
from models.comparison import Comparison
from models.names import Version
from schemas.predict import PredictSchemas

#: The key of the context in ``Flask.extensions``.
KEY = "plumbline"

#: Comparisons of two versions that are cached; the cache is cleared when it is full.
MAX_COMPARISONS = 64

#: Return the current application. One call is faster than Flask's proxy, which resolves it at every use.
_this_app = cast(Callable[[], Flask], current_app._get_current_object)  # type: ignore[attr-defined]


@dataclass(slots=True)
class Context:
    """The services of one application, and its caches of request schemas and comparisons."""

    settings: Settings
    engine: Engine
    metrics: Metrics
    observers: Sequence[Observer]
    #: Starts the services; called at the first request.
    start: Callable[[], None]
    #: Whether ``start`` was called.
    is_started: bool = field(default=False, init=False)
    #: Returns whether the process is shutting down.
    draining: Callable[[], bool] = lambda: False
    #: The operations behind /admin.
    operations: Operations | None = None
    #: The tokens that /admin accepts; without one its routes are not registered.
    admin_tokens: Sequence[bytes] = ()
    #: The observers' functions that are called when a request arrives, is answered, and ends.
    on_arrival: Sequence[Callable[[], None]] = field(init=False)
    on_reply: Sequence[Callable[[Reply], None]] = field(init=False)
    on_leave: Sequence[Callable[[], None]] = field(init=False)
    _schemas: dict[Version, PredictSchemas] = field(default_factory=dict)
    _comparisons: dict[tuple[Version, str, Version, str], Comparison] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.on_arrival = listeners(self.observers, "arrived")
        self.on_reply = listeners(self.observers, "replied")
        self.on_leave = listeners(self.observers, "left")

    def forget(self, snapshot: Snapshot) -> None:
        """Drop the schemas of versions that are not in the snapshot, or whose signature changed."""
        for target in list(self._schemas):
            model = snapshot.models.get(target.name)
            stored = model.record(target.number) if model else None
            if stored is None or stored.manifest.signature != self._schemas[target].signature:
                del self._schemas[target]

    def comparison(self, one: Version, other: Version) -> Comparison:
        """Compare two versions on the golden rows of the second; the result is cached.

        Raises NotFound, NotReady, Conflict for versions that cannot take the same rows, or a model's error.
        """
        stored = [self.engine.snapshot.record(target) for target in (one, other)]
        key = (one, stored[0].manifest.published_at, other, stored[1].manifest.published_at)
        if key not in self._comparisons:
            if len(self._comparisons) >= MAX_COMPARISONS:
                self._comparisons.clear()
            self._comparisons[key] = self.engine.compare(one, other)
        return self._comparisons[key]

    def schemas(self, target: Version) -> PredictSchemas:
        """Return the schemas of a version, cached. Raises LoadError for an unreadable manifest."""
        schemas = self._schemas.get(target)
        if schemas is None:
            signature = self.engine.snapshot.manifest(target).signature
            schemas = self._schemas[target] = PredictSchemas(signature, max_rows=self.settings.max_rows)
        return schemas


def this_context() -> Context:
    """Return the context of the current application."""
    context: Context = _this_app().extensions[KEY]
    return context


def context_of(app: Flask) -> Context:
    """Return the context of an application."""
    context: Context = app.extensions[KEY]
    return context
