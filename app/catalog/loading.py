"""The load of a version that is to be served: in the background, verified if need be, and calibrated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.concurrency.forms import Concurrency, not_awaited
from app.inference.calibration import BatchSettings, calibrate, rule_for
from app.inference.model import LoadedModel, checked
from models.golden import GoldenRows
from models.record import Record
from models.runtime import Runtime
from models.runtimes.loading import load_version


def open_served(
    record: Record,
    concurrency: Concurrency,
    batching: BatchSettings,
    model: Any = None,
    *,
    replay: bool = False,
    awaited: Callable[[], bool] = not_awaited,
) -> LoadedModel:
    """Load a version in the background, and measure how it is best called.

    ``model`` is passed to ``load_version``. With ``replay`` the version must give its recorded answers first.
    ``awaited`` is called now and then, and tells whether a client waits for the version. Raises LoadError.
    """

    def load() -> tuple[Runtime, GoldenRows]:
        golden = record.golden  # cached by the record, so that loading does not read it again
        return load_version(record, model, verify=replay), golden

    runtime, golden = concurrency.in_background(load, awaited)
    manifest = record.manifest
    call = checked(runtime, manifest)
    calibration = calibrate(lambda rows: call(rows, golden.parameters), golden, concurrency)
    rule = rule_for(calibration, batching, exact=manifest.exact, alone=manifest.alone)
    return LoadedModel(runtime, manifest, concurrency, rule, calibration)
