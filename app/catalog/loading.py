"""How a version comes into memory: loaded in the background, held against its recorded answers, and calibrated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.concurrency.forms import Concurrency, nobody
from app.inference.calibration import BatchWish, calibrate, rule_for
from app.inference.model import LoadedModel, checked
from models.compare import ABSOLUTE_TOLERANCE
from models.errors import LoadError
from models.golden import GoldenRows
from models.manifest import Artifact
from models.runtime import Runtime
from models.runtimes.loading import open_runtime


def open_served(
    artifact: Artifact,
    concurrency: Concurrency,
    wish: BatchWish,
    model: Any = None,
    *,
    replay: bool = False,
    awaited: Callable[[], bool] = nobody,
) -> LoadedModel:
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
    return LoadedModel(runtime, manifest, concurrency, rule, found)


def _open(artifact: Artifact, model: Any, replay: bool) -> Runtime:
    """All golden rows are replayed at once, as they were recorded: a model may answer a single row another way."""
    runtime = open_runtime(artifact, model)
    tolerance = max(float(artifact.manifest.compiled.get("tolerance", 0.0)), ABSOLUTE_TOLERANCE)
    if replay and not GoldenRows.of(artifact).holds(runtime, tolerance):
        raise LoadError("its golden rows do not give the recorded answers; publish it again")
    return runtime
