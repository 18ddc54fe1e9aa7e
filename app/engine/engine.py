"""The door for every front end: ``Engine.ask`` routes a request to a version and answers it."""

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

#: The longest routing key that is looked at.
MAX_KEY = 256


class Engine:
    """Routes requests to versions and answers them. Cache, fallback and deadlines take their places here.

    ``default_model`` is the configured name, for the error where the store has no default model.
    """

    def __init__(
        self,
        residency: Residency,
        observers: Sequence[Observer] = (),
        concurrency: Concurrency | None = None,
        default_model: str = "",
    ) -> None:
        self.residency = residency
        self.concurrency = concurrency or concurrency_of_this_process()
        self._default_model = default_model
        self._on_prediction = listeners(observers, "predicted")
        self._on_failure = listeners(observers, "failed")
        self._shadows = Shadows(self._ask_shadow, self._comparable, self.concurrency, observers)

    @property
    def routing(self) -> Routing:
        """What requests are resolved by at this moment."""
        return self.residency.routing

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot of the store that is served."""
        return self.residency.routing.snapshot

    def close(self) -> None:
        """Let go of every model."""
        self.residency.close()

    def ask(self, ask: Ask) -> Prediction:
        """Route the request, read its rows for the version, and answer them. Observers hear of either outcome.

        Raises NotFound for a model or version that does not exist, what ``ask.read`` raises, NotReady when the version
        cannot be loaded, InputError for what only the model can judge, PredictError when the model fails, Overloaded,
        and DeadlinePassed when the client has left.
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
            for hear in self._on_failure:
                hear(Failure(ask, error))
            raise
        prediction = Prediction(ask, new_id(), target, answer)
        if route.shadow is not None:
            self._shadows.offer(route.shadow, prediction)
        for hear in self._on_prediction:
            hear(prediction)
        return prediction

    def route(self, ask: Ask) -> Route:
        """The version that the request names, or that the model's traffic rule picks.

        Raises NoDefaultModel, ModelNotFound, VersionNotFound, LoadError or StoreUnavailable.
        """
        routing = self.residency.routing
        name = ask.model or routing.snapshot.default
        if name is None:
            routing.snapshot.check()
            raise NoDefaultModel(self._default_model, routing.snapshot.models)
        if ask.selector is None and (rule := routing.rules.get(name)) is not None:
            return self._divide(ask, routing.resolve(name), rule)
        return Route(routing.resolve(name, ask.selector))

    def _divide(self, ask: Ask, stable: Version, rule: Rule) -> Route:
        """The route that the traffic rule gives; to the stable version where the chosen one cannot be loaded here."""
        route = choose(rule, stable, partial(self._routing_key, ask, stable, rule), ask.header)
        if route.target != stable:
            try:
                self.residency.model(route.target)
            except (NotReady, NotFound):
                return Route(stable, "stable", None if route.shadow == stable else route.shadow)
        return route

    def _routing_key(self, ask: Ask, stable: Version, rule: Rule) -> str:
        """What the request sticks to: its own key, the value of the rule's column, or nothing but itself."""
        key = ask.routing_key or (ask.column(stable, rule.key) if rule.key else None)
        return ask.request_id if key is None or key == ask.routing_key == "" else key[:MAX_KEY]

    def compare(self, one: Version, other: Version) -> Comparison:
        """Both versions side by side on the golden rows of the second, whose values are not shown.

        Raises Conflict for versions that cannot be asked the same, and otherwise as ``ask``.
        """
        stored = self.snapshot.record(one), self.snapshot.record(other)
        manifests = stored[0].manifest, stored[1].manifest
        if why := comparable(manifests[0].signature, manifests[1].signature):
            raise Conflict(f"{one} and {other} cannot be compared: {why}")
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
        """Whether rows that were read for one version are rows of the other."""
        first, second = (self.snapshot.manifest(version).signature for version in (one, other))
        return first.named == second.named and not comparable(first, second)
