"""What a view can reach: the objects that the factory hung on the application."""

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

KEY = "plumbline"
MOST_COMPARISONS = 64

#: Returns the current application. One call, where Flask's proxy resolves it at every use.
_this_app = cast(Callable[[], Flask], current_app._get_current_object)  # type: ignore[attr-defined]


@dataclass(slots=True)
class Context:
    """One application's services, and the request schemas of each version."""

    settings: Settings
    engine: Engine
    metrics: Metrics
    observers: Sequence[Observer]
    #: Called before the first request.
    start: Callable[[], None]
    is_started: bool = field(default=False, init=False)
    #: Whether the process is about to end.
    draining: Callable[[], bool] = lambda: False
    #: For /admin, which does not exist without a token.
    operations: Operations | None = None
    admin_tokens: Sequence[bytes] = ()
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
        """Keep the schemas of versions that the snapshot has as they were, and no others."""
        for target in list(self._schemas):
            model = snapshot.models.get(target.name)
            stored = model.record(target.number) if model else None
            if stored is None or stored.manifest.signature != self._schemas[target].signature:
                del self._schemas[target]

    def comparison(self, one: Version, other: Version) -> Comparison:
        """Two versions on the golden rows of the second, found out once. Raises NotFound, NotReady, Conflict for versions that
        cannot be asked the same, or what a model raises."""
        stored = [self.engine.snapshot.record(target) for target in (one, other)]
        key = (one, stored[0].manifest.published_at, other, stored[1].manifest.published_at)
        if key not in self._comparisons:
            if len(self._comparisons) >= MOST_COMPARISONS:
                self._comparisons.clear()
            self._comparisons[key] = self.engine.compare(one, other)
        return self._comparisons[key]

    def schemas(self, target: Version) -> PredictSchemas:
        """The schemas of a version, made at its first use; raises LoadError when its manifest cannot be trusted."""
        found = self._schemas.get(target)
        if found is None:
            signature = self.engine.snapshot.manifest(target).signature
            found = self._schemas[target] = PredictSchemas(signature, max_rows=self.settings.max_rows)
        return found


def this_context() -> Context:
    """The context of the current application."""
    context: Context = _this_app().extensions[KEY]
    return context


def context_of(app: Flask) -> Context:
    """The context of an application."""
    context: Context = app.extensions[KEY]
    return context
