"""How a request is answered: every front end enters at ``Engine.predict``, and nothing answers beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from app.serving.batcher import never
from app.serving.catalog import Catalog
from app.serving.ids import new_id
from app.serving.loader import Loader
from app.serving.messages import Observer, Prediction, Target


class Engine:
    """Routes a request to a version and asks it. Cache, fallback and deadlines take their places here."""

    def __init__(self, loader: Loader, observers: Sequence[Observer] = ()) -> None:
        self.loader = loader
        self._observers = observers

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

    def route(self, name: str, selector: str | None = None) -> Target:
        """The version that a request for the model is for; raises ModelNotFound or VersionNotFound."""
        return self.catalog.resolve(name, selector)

    def predict(
        self,
        target: Target,
        rows: np.ndarray,
        parameters: Mapping[str, Any],
        is_gone: Callable[[], bool] = never,
    ) -> Prediction:
        """Answer rows of shape (n_rows, n_columns), dtype float64 or object as the signature says.

        ``is_gone`` tells whether nobody waits for the answer any more. Raises NotReady when the version cannot be
        loaded, InputError for what only the model can judge, PredictError when the model fails, and Overloaded.
        """
        answer = self.loader.version(target).answer(rows, parameters, is_gone)
        prediction = Prediction(new_id(), target, rows, parameters, answer)
        for observer in self._observers:
            observer.predicted(prediction)
        return prediction
