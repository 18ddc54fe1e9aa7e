"""One loaded version as the engine sees it: it answers rows, and says how it batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from app.serving.batcher import DEFAULT_RULE, Answer, Batcher, BatchRule, never
from app.serving.concurrency import Concurrency, nobody
from app.serving.lanes import BatchWish, Calibration, calibrate, described, rule_for
from models.compare import ABSOLUTE_TOLERANCE
from models.conformity import judge
from models.errors import LoadError, PredictError
from models.golden import GoldenRows
from models.manifest import Artifact, Manifest
from models.opening import open_runtime
from models.outputs import Outputs
from models.runtimes.base import Runtime


class Served(Protocol):
    """A version in memory."""

    def answer(
        self,
        rows: np.ndarray,
        parameters: Mapping[str, Any],
        is_gone: Callable[[], bool] = never,
        deadline: float | None = None,
        *,
        aside: bool = False,
    ) -> Answer:
        """As ``Batcher.answer``."""

    def about(self) -> dict[str, Any]:
        """How its requests are batched, as JSON data."""

    def close(self) -> None:
        """Let go of the model."""


class Batched:
    """A runtime behind a batcher, whose answers are checked."""

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
        """As ``Served`` says."""
        return described(self._calibration, self._rule)

    def close(self) -> None:
        """As ``Served`` says."""
        self._runtime.close()


def open_served(
    artifact: Artifact,
    concurrency: Concurrency,
    wish: BatchWish,
    model: Any = None,
    *,
    replay: bool = False,
    awaited: Callable[[], bool] = nobody,
) -> Batched:
    """Load a version beside the requests and measure how it is best called; raises LoadError.

    ``model`` : as in ``open_runtime``; ``replay`` : whether it must give its recorded answers before it is given any;
    ``awaited`` : whether a client waits for it, asked now and then.
    """
    runtime = concurrency.in_background(lambda: _open(artifact, model, replay), awaited)
    golden = GoldenRows.of(artifact)
    manifest = artifact.manifest
    call = checked(runtime, manifest)
    found = calibrate(lambda rows: call(rows, golden.parameters), golden, concurrency)
    rule = rule_for(found, wish, exact=manifest.exact, alone=manifest.alone)
    return Batched(runtime, manifest, concurrency, rule, found)


def _open(artifact: Artifact, model: Any, replay: bool) -> Runtime:
    """All golden rows are replayed at once, as they were recorded: a model may answer a single row another way."""
    runtime = open_runtime(artifact, model)
    tolerance = max(float(artifact.manifest.compiled.get("tolerance", 0.0)), ABSOLUTE_TOLERANCE)
    if replay and not GoldenRows.of(artifact).holds(runtime, tolerance):
        raise LoadError("its golden rows do not give the recorded answers; publish it again")
    return runtime


def checked(runtime: Runtime, manifest: Manifest) -> Callable[[np.ndarray, Mapping[str, Any]], Outputs]:
    """The runtime's predict. An answer that is not what the signature declares is the model's fault and not passed on."""
    wrong = judge(manifest.signature.output)

    def call(rows: np.ndarray, parameters: Mapping[str, Any]) -> Outputs:
        outputs = runtime.predict(rows, parameters)
        if why := wrong(outputs, len(rows)):
            raise PredictError(f"{manifest.name}:{manifest.version} {why}")
        return outputs

    return call
