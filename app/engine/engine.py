"""How a request is answered: every front end enters at ``Engine.predict``, and nothing answers beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from app.catalog.residency import Loader
from app.catalog.snapshot import Catalog
from app.concurrency.forms import Concurrency, here
from app.engine.router import Route, choose
from app.engine.shadow import Shadows
from app.inference.batcher import Answer, never
from app.inference.ids import new_id
from app.inference.messages import Observer, Prediction
from models.comparison import Comparison, comparable, compare
from models.errors import Conflict, NotFound, NotReady
from models.names import Version
from models.traffic import Rule


class Engine:
    """Routes a request to a version and asks it. Cache, fallback and deadlines take their places here."""

    def __init__(
        self, loader: Loader, observers: Sequence[Observer] = (), concurrency: Concurrency | None = None
    ) -> None:
        self.loader = loader
        self._observers = observers
        self.concurrency = concurrency or here()
        self._shadows = Shadows(self._ask, self._comparable, self.concurrency, observers)

    @property
    def catalog(self) -> Catalog:
        """The snapshot of the store that is served."""
        return self.loader.catalog

    def start(self, when_ready: Callable[[], None] = lambda: None) -> None:
        """Begin to load models; ``when_ready`` is called once all have been tried."""
        self.loader.start(when_ready)

    def close(self) -> None:
        """Let go of every model."""
        self.loader.close()

    def route(self, name: str, selector: str | None = None) -> Version:
        """The version that a request for the model is for; raises ModelNotFound or VersionNotFound."""
        return self.catalog.resolve(name, selector)

    def divide(
        self, name: str, rule: Rule, key: Callable[[], str], header: Callable[[str], str | None]
    ) -> Route:
        """The version that the model's traffic rule gives a request; one that cannot be loaded here gets none."""
        stable = self.catalog.resolve(name)
        route = choose(rule, stable, key, header)
        if route.target != stable:
            try:
                self.loader.version(route.target)
            except (NotReady, NotFound):
                return Route(stable, "stable", None if route.shadow == stable else route.shadow)
        return route

    def shadow(self, target: Version, prediction: Prediction) -> None:
        """Ask another version the same, after the reply, and tell the observers how it compares."""
        self._shadows.offer(target, prediction)

    def predict(
        self,
        target: Version,
        rows: np.ndarray,
        parameters: Mapping[str, Any],
        is_gone: Callable[[], bool] = never,
    ) -> Prediction:
        """Answer rows of shape (n_rows, n_columns), dtype float64 or object as the signature says.

        ``is_gone`` tells whether nobody waits for the answer any more. Raises NotReady when the version cannot be
        loaded, InputError for what only the model can judge, PredictError when the model fails, and Overloaded.
        """
        served = self.loader.version(target)
        self.concurrency.asked()
        answer = served.answer(rows, parameters, is_gone)
        prediction = Prediction(new_id(), target, rows, parameters, answer)
        for observer in self._observers:
            observer.predicted(prediction)
        return prediction

    def compare(self, one: Version, other: Version) -> Comparison:
        """Both versions side by side on the golden rows of the second, whose values are not told. Raises Conflict for versions
        that cannot be asked the same, and as ``predict``."""
        stored = self.catalog.stored(one), self.catalog.stored(other)
        manifests = stored[0].manifest, stored[1].manifest
        if why := comparable(manifests[0].signature, manifests[1].signature):
            raise Conflict(f"{one} and {other} cannot be compared: {why}")
        golden = stored[1].golden
        first, second = (
            self.loader.version(t).answer(golden.rows, golden.parameters).outputs for t in (one, other)
        )
        return self.concurrency.in_background(
            lambda: compare(*manifests, golden.rows, (first, second), show_rows=False)
        )

    def _ask(self, target: Version, rows: np.ndarray, parameters: Mapping[str, Any]) -> Answer:
        return self.loader.version(target).answer(rows, parameters, aside=True)

    def _comparable(self, one: Version, other: Version) -> bool:
        """Whether rows that were read for one version are rows of the other."""
        first, second = (self.catalog.manifest(target).signature for target in (one, other))
        return first.named == second.named and not comparable(first, second)
