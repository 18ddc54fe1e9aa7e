"""BentoML services as its documentation writes them: one that answers each request, one with adaptive batching.

Both take ``{"input_data": [[..], ..]}`` and answer one array of shape (n_rows, 1 + n_classes): the label, then the
probabilities. An adaptively batched method must return something that can be cut by row, and an array is that.
"""

from __future__ import annotations

import os

import bentoml
import joblib
import numpy as np
import sklearn

WORKERS = int(os.environ["BENCH_WORKERS"])
QUIET = {"access": {"enabled": False}}
MAX_BATCH_ROWS = 256
# Above it BentoML answers 503 instead: a thousand clients that wait for each other need about a second.
MAX_LATENCY_MS = 5000


@bentoml.service(workers=WORKERS, logging=QUIET)
class Plain:
    """``predict`` and ``predict_proba`` for each request, on BentoML's thread."""

    def __init__(self) -> None:
        self.model = joblib.load(os.environ["BENCH_MODEL"])

    @bentoml.api
    def predict(self, input_data: np.ndarray) -> np.ndarray:
        """The label and the probabilities of each row."""
        return np.column_stack([self.model.predict(input_data), self.model.predict_proba(input_data)])


@bentoml.service(workers=WORKERS, logging=QUIET, metrics={"enabled": False})
class LoadedModel:
    """One call for all requests that BentoML collected, in the event loop: a thread costs more than it frees."""

    def __init__(self) -> None:
        sklearn.set_config(assume_finite=True, skip_parameter_validation=True)
        self.model = joblib.load(os.environ["BENCH_MODEL"])

    @bentoml.api(batchable=True, batch_dim=0, max_batch_size=MAX_BATCH_ROWS, max_latency_ms=MAX_LATENCY_MS)
    async def predict(self, input_data: np.ndarray) -> np.ndarray:
        """The label and the probabilities of each row."""
        probabilities = self.model.predict_proba(input_data)
        labels = self.model.classes_[probabilities.argmax(axis=1)]
        return np.column_stack([labels, probabilities])
