"""How a version comes into memory: loaded in the background, verified by its recorded answers, calibrated."""

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
    """Load a version beside the requests and measure how it is best called; raises LoadError.

    model: as in ``load_version``.
    replay: whether it must give its recorded answers before it answers anybody.
    awaited: tells whether a client waits for it, called now and then.
    """

    def load() -> tuple[Runtime, GoldenRows]:
        golden = record.golden  # held, so that loading does not read it again
        return load_version(record, model, verify=replay), golden

    runtime, golden = concurrency.in_background(load, awaited)
    manifest = record.manifest
    call = checked(runtime, manifest)
    found = calibrate(lambda rows: call(rows, golden.parameters), golden, concurrency)
    rule = rule_for(found, batching, exact=manifest.exact, alone=manifest.alone)
    return LoadedModel(runtime, manifest, concurrency, rule, found)
