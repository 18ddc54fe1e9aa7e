"""A loaded model, which answers rows in batches and checks every answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from app.concurrency.forms import Concurrency
from app.inference.batcher import DEFAULT_RULE, Batcher, BatchRule
from app.inference.calibration import Calibration, described
from models.conformity import judge
from models.errors import PredictError
from models.manifest import Manifest
from models.outputs import Outputs
from models.runtime import Runtime


class LoadedModel:
    """A version in memory: a runtime behind a batcher. Every answer is checked against the signature."""

    def __init__(
        self,
        runtime: Runtime,
        manifest: Manifest,
        concurrency: Concurrency,
        rule: BatchRule = DEFAULT_RULE,
        calibration: Calibration | None = None,
    ) -> None:
        self._runtime = runtime
        self._rule = rule
        self._calibration = calibration
        self.answer = Batcher(checked(runtime, manifest), concurrency, rule).answer

    def about(self) -> dict[str, Any]:
        """Return how requests are batched, as JSON data."""
        return described(self._calibration, self._rule)

    def close(self) -> None:
        """Release the model."""
        self._runtime.close()


def checked(runtime: Runtime, manifest: Manifest) -> Callable[[np.ndarray, Mapping[str, Any]], Outputs]:
    """Return the runtime's ``predict``, which raises PredictError for an answer that breaks the signature."""
    fault_of = judge(manifest.signature.output)

    def call(rows: np.ndarray, parameters: Mapping[str, Any]) -> Outputs:
        outputs = runtime.predict(rows, parameters)
        if fault := fault_of(outputs, len(rows)):
            raise PredictError(f"{manifest.key} {fault}")
        return outputs

    return call
