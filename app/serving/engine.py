"""How a request is answered: every front end enters at ``Engine.predict``, and nothing answers beside it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from app.serving.catalog import Catalog
from app.serving.concurrency import Concurrency
from app.serving.loader import Loader
from app.serving.messages import Observer, Prediction, Target
from models.conformity import finite, misfit
from models.errors import PredictError
from models.outputs import Outputs
from models.signature import Output


class Engine:
    """Routes a request to a version and calls it. Batching, lanes, cache and deadlines take their places here."""

    def __init__(self, loader: Loader, concurrency: Concurrency, observers: Sequence[Observer] = ()) -> None:
        self.loader = loader
        self._now = concurrency.now
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

    def predict(self, target: Target, rows: np.ndarray, parameters: Mapping[str, Any]) -> Prediction:
        """Answer rows of shape (n_rows, n_columns), dtype float64 or object as the signature says.

        Raises NotReady when the version cannot be loaded, InputError for what only the model can judge, and
        PredictError when the model fails.
        """
        arrived = self._now()
        runtime = self.loader.runtime(target)
        began = self._now()
        outputs = runtime.predict(rows, parameters)
        ended = self._now()
        _check(self.catalog.manifest(target).signature.output, outputs, target, len(rows))
        prediction = Prediction(
            uuid.uuid4().hex, target, rows, parameters, outputs, began - arrived, ended - began
        )
        for observer in self._observers:
            observer.predicted(prediction)
        return prediction


def _check(output: Output, outputs: Outputs, target: Target, n_rows: int) -> None:
    """JSON has no NaN, so an answer that holds one is a fault of the model and not passed on as null."""
    why = ""
    if len(outputs) != n_rows:
        why = f"answered {len(outputs)} rows where {n_rows} were asked"
    elif output.kind == "records":
        why = misfit(output, outputs)
    elif not finite(outputs):
        why = "answered NaN or Infinity"
    if why:
        raise PredictError(f"{target.name}:{target.version} {why}")
