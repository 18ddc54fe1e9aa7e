"""How a version comes into memory: loaded in the background, held against its recorded answers, and calibrated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.concurrency.forms import Concurrency, not_awaited
from app.inference.calibration import BatchWish, calibrate, rule_for
from app.inference.model import LoadedModel, checked
from models.errors import LoadError
from models.record import Record
from models.runtime import Runtime
from models.runtimes.loading import open_runtime


def open_served(
    record: Record,
    concurrency: Concurrency,
    wish: BatchWish,
    model: Any = None,
    *,
    replay: bool = False,
    awaited: Callable[[], bool] = not_awaited,
) -> LoadedModel:
    """Load a version beside the requests and measure how it is best called; raises LoadError.

    ``model`` : as in ``open_runtime``; ``replay`` : whether it must give its recorded answers before it is given any;
    ``awaited`` : whether a client waits for it, asked now and then.
    """
    runtime = concurrency.in_background(lambda: _open(record, model, replay), awaited)
    golden = record.golden
    manifest = record.manifest
    call = checked(runtime, manifest)
    found = calibrate(lambda rows: call(rows, golden.parameters), golden, concurrency)
    rule = rule_for(found, wish, exact=manifest.exact, alone=manifest.alone)
    return LoadedModel(runtime, manifest, concurrency, rule, found)


def _open(record: Record, model: Any, replay: bool) -> Runtime:
    """All golden rows are replayed at once, as they were recorded: a model may answer a single row another way."""
    runtime = open_runtime(record, model)
    if replay and not record.golden.holds(runtime, record.manifest.tolerance):
        raise LoadError("its golden rows do not give the recorded answers; publish it again")
    return runtime
