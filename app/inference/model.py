"""One loaded model: it answers rows, and says how it batches them."""

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
    """A version in memory: its runtime behind a batcher, and every answer checked against the signature."""

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
        """How its requests are batched, as JSON data."""
        return described(self._calibration, self._rule)

    def close(self) -> None:
        """Let go of the model."""
        self._runtime.close()


def checked(runtime: Runtime, manifest: Manifest) -> Callable[[np.ndarray, Mapping[str, Any]], Outputs]:
    """The runtime's predict. An answer that is not what the signature declares is the model's fault and not passed on."""
    wrong = judge(manifest.signature.output)

    def call(rows: np.ndarray, parameters: Mapping[str, Any]) -> Outputs:
        outputs = runtime.predict(rows, parameters)
        if why := wrong(outputs, len(rows)):
            raise PredictError(f"{manifest.key} {why}")
        return outputs

    return call
