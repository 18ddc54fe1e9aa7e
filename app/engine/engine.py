"""The engine, which every front end calls: ``Engine.ask`` routes a request to a version and answers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from app.catalog.residency import Residency
from app.catalog.routing import Routing
from app.catalog.snapshot import Snapshot
from app.concurrency.forms import Concurrency, concurrency_of_this_process
from app.engine.router import choose
from app.engine.shadow import Shadows
from app.inference.messages import (
    Answer,
    Ask,
    Failure,
    Observer,
    Prediction,
    Route,
    listeners,
    new_id,
)
from models.comparison import Comparison, comparable, compare
from models.errors import Conflict, InputError, NoDefaultModel, NotFound, NotReady
from models.names import Version
from models.traffic import Rule

#: Characters of a routing key that count; the rest is ignored.
MAX_KEY = 256


class Engine:
    """The service that routes requests to versions and answers them."""

    def __init__(
        self,
        residency: Residency,
        observers: Sequence[Observer] = (),
        concurrency: Concurrency | None = None,
        default_model: str = "",
    ) -> None:
        """Store the parts.

        ``observers`` hear of every outcome. ``default_model`` is the configured name, for the error message
        when the store has no such model.
        """
        self.residency = residency
        self.concurrency = concurrency or concurrency_of_this_process()
        self._default_model = default_model
        self._on_prediction = listeners(observers, "predicted")
        self._on_failure = listeners(observers, "failed")
        self._shadows = Shadows(self._ask_shadow, self._comparable, self.concurrency, observers)

    @property
    def routing(self) -> Routing:
        """The routing by which requests are resolved now."""
        return self.residency.routing

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot of the store that is served."""
        return self.residency.routing.snapshot

    def close(self) -> None:
        """Release all models."""
        self.residency.close()

    def ask(self, ask: Ask) -> Prediction:
        """Route the request, read its rows for the version, and answer them. Observers hear of the outcome.

        Raises NotFound for a model or version that does not exist, what ``ask.read`` raises, NotReady when
        the version cannot be loaded, InputError for faults that only the model detects, PredictError when the
        model fails, Overloaded, and DeadlinePassed when the client has left.
        """
        try:
            ask.route = route = self.route(ask)
            target = route.target
            ask.read(target)
            model = self.residency.model(target)
            self.concurrency.note_request()
            try:
                answer = model.answer(ask.rows, ask.parameters, ask.is_gone)
            except InputError as error:
                raise ask.located(error) from error
        except Exception as error:
            for listener in self._on_failure:
                listener(Failure(ask, error))
            raise
        prediction = Prediction(ask, new_id(), target, answer)
        if route.shadow is not None:
            self._shadows.offer(route.shadow, prediction)
        for listener in self._on_prediction:
            listener(prediction)
        return prediction

    def route(self, ask: Ask) -> Route:
        """Return the version that the request names, or that the model's traffic rule chooses.

        Raises NoDefaultModel, ModelNotFound, VersionNotFound, LoadError or StoreUnavailable.
        """
        routing = self.residency.routing
        name = ask.model or routing.snapshot.default
        if name is None:
            routing.snapshot.check()
            raise NoDefaultModel(self._default_model, routing.snapshot.models)
        if ask.selector is None:
            if (rule := routing.rules.get(name)) is not None:
                return self._divide(ask, routing.resolve(name), rule)
            if (target := routing.targets.get(name)) is not None:  # nearly every request
                return Route(target)
        return Route(routing.resolve(name, ask.selector))

    def _divide(self, ask: Ask, stable: Version, rule: Rule) -> Route:
        """Return the rule's route, or one to the stable version if the chosen version cannot be loaded."""
        route = choose(rule, stable, partial(self._routing_key, ask, stable, rule), ask.header)
        if route.target != stable:
            try:
                self.residency.model(route.target)
            except (NotReady, NotFound):
                return Route(stable, "stable", None if route.shadow == stable else route.shadow)
        return route

    def _routing_key(self, ask: Ask, stable: Version, rule: Rule) -> str:
        """Return the request's own key or the value of the rule's column, and by default the request id."""
        if ask.routing_key:
            return ask.routing_key[:MAX_KEY]
        value = ask.column(stable, rule.key) if rule.key else None
        return ask.request_id if value is None else value[:MAX_KEY]

    def compare(self, one: Version, other: Version) -> Comparison:
        """Compare two versions on the golden rows of the second. The result leaves the rows out.

        Raises Conflict for versions that take or return different columns, and the errors of ``ask``.
        """
        stored = self.snapshot.record(one), self.snapshot.record(other)
        manifests = stored[0].manifest, stored[1].manifest
        if difference := comparable(manifests[0].signature, manifests[1].signature):
            raise Conflict(f"{one} and {other} cannot be compared: {difference}")
        golden = stored[1].golden
        first, second = (
            self.residency.model(version).answer(golden.rows, golden.parameters).outputs
            for version in (one, other)
        )
        return self.concurrency.in_background(
            lambda: compare(*manifests, golden.rows, (first, second), show_rows=False)
        )

    def _ask_shadow(self, shadow: Version, rows: np.ndarray, parameters: Mapping[str, Any]) -> Answer:
        return self.residency.model(shadow).answer(rows, parameters, background=True)

    def _comparable(self, one: Version, other: Version) -> bool:
        """Return whether both versions take the same rows and return comparable answers."""
        first, second = (self.snapshot.manifest(version).signature for version in (one, other))
        return first.named == second.named and not comparable(first, second)
