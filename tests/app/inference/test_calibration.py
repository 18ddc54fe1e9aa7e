"""The calibration of a version when it is loaded, and the batching rule that follows."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.catalog.loading import open_served
from app.concurrency.forms import Threads
from app.config import Settings
from app.inference.batcher import BatchRule
from app.inference.calibration import BatchSettings, Calibration, calibrate, described, rule_for
from app.wiring import batch_settings
from models.golden import GoldenRows
from models.outputs import Outputs
from models.store import Store
from tests.app.inference.greenlets import Schedule
from tests.toys import summing_draft

ROWS = np.arange(80.0).reshape(40, 2)


def golden(call: Callable[[np.ndarray], Outputs]) -> GoldenRows:
    return GoldenRows(ROWS, {}, call(ROWS))


def measured(call: Callable[[np.ndarray], Outputs], base: float = 0.001, row: float = 0.0001) -> Calibration:
    """Return a calibration by a clock on which a call takes ``base`` seconds and ``row`` for each row."""
    schedule = Schedule()
    found: list[Calibration] = []

    def timed(rows: np.ndarray) -> Outputs:
        schedule.time += base + row * len(rows)
        return call(rows)

    schedule.spawn(lambda: found.append(calibrate(timed, golden(call), schedule)))
    schedule.run()
    return found[0]


def sums(rows: np.ndarray) -> Outputs:
    return Outputs(rows.sum(axis=1))


def test_the_cost_of_a_call_is_found() -> None:
    found = measured(sums, base=0.0005, row=0.00001)
    assert found.base_ms == pytest.approx(0.5, abs=1e-3)
    assert found.row_ms == pytest.approx(0.01, abs=1e-4)
    assert found.call_ms(10) == pytest.approx(0.6, abs=1e-2)
    assert found.rows_within(2.0) == pytest.approx(150, abs=2)
    assert found.stall_ms is None


def test_a_long_call_is_tried_on_a_thread() -> None:
    found = measured(sums, base=0.003, row=0.0)
    assert found.stall_ms is not None
    assert rule_for(found, BatchSettings(), exact=False).lane == "thread"


def test_a_slow_model_is_asked_little_and_beside_the_hub() -> None:
    """Measuring must neither block other requests nor make gunicorn replace the worker."""
    schedule, asked = Schedule(), []

    def slow(rows: np.ndarray) -> Outputs:
        asked.append((len(rows), schedule.on_threads))
        schedule.time += 0.3 * len(rows)
        return sums(rows)

    found: list[Calibration] = []
    schedule.spawn(lambda: found.append(calibrate(slow, golden(sums), schedule)))
    schedule.run()
    assert sum(n for n, _ in asked) <= 8
    assert all(threads > 0 for _, threads in asked[1:])
    assert found[0].call_ms(10) == pytest.approx(3000, rel=0.05)
    assert rule_for(found[0], BatchSettings(), exact=False).lane == "thread"


def test_a_row_that_hardly_shows_beside_a_long_call_is_measured_all_the_same() -> None:
    """Two rows of such a model take as long as one, so the limit would be thousands of rows."""
    schedule, noise = Schedule(), cycle((0.002, 0.0, 0.001))

    def slow(rows: np.ndarray) -> Outputs:
        schedule.time += 0.060 + 0.0004 * len(rows) + next(noise)
        return sums(rows)

    found: list[Calibration] = []
    schedule.spawn(lambda: found.append(calibrate(slow, golden(sums), schedule)))
    schedule.run()
    assert found[0].row_ms == pytest.approx(0.4, rel=0.1)
    assert rule_for(found[0], BatchSettings(), exact=False).max_rows < 200


def drifting(rows: np.ndarray) -> Outputs:
    """Return answers whose last bit depends on the batch, as with BLAS."""
    return Outputs(rows.sum(axis=1) + (1e-13 if len(rows) > 1 else 0.0))


def mixing(rows: np.ndarray) -> Outputs:
    """Return answers that depend on their neighbours in the batch."""
    return Outputs(rows.sum(axis=1) - rows.mean())


def relabelling(rows: np.ndarray) -> Outputs:
    """Return labels that depend on the batch, and floats that do not."""
    return Outputs(np.full(len(rows), len(rows) > 1), np.ones((len(rows), 1)))


@pytest.mark.parametrize(
    ("call", "same", "exact"),
    [(sums, True, True), (drifting, True, False), (mixing, False, False), (relabelling, False, False)],
)
def test_batched_answers_are_compared_with_single_ones(call: Any, same: bool, exact: bool) -> None:
    found = measured(call)
    assert (found.same_answers, found.bit_exact) == (same, exact)
    assert (found.max_abs_difference == 0) == exact
    assert rule_for(found, BatchSettings(), exact=False).merge is same
    assert rule_for(found, BatchSettings(), exact=True).merge is exact
    assert not rule_for(found, BatchSettings(), exact=False, alone=True).merge


CHEAP = Calibration(0.1, 0.001, True, True, 0.0)
DEAR = Calibration(3.0, 0.05, True, True, 0.0, 4.0)
VERY_DEAR = Calibration(50.0, 1.0, True, True, 0.0, 60.0)


@pytest.mark.parametrize(
    ("found", "batching", "rule"),
    [
        (CHEAP, BatchSettings(), BatchRule(max_rows=4096, call_rows=9900)),
        (CHEAP, BatchSettings(max_rows=10_000), BatchRule(max_rows=9900, call_rows=9900)),
        (
            CHEAP,
            BatchSettings(max_rows=32, wait_ms=1.5),
            BatchRule(max_rows=32, call_rows=9900, wait_seconds=0.0015),
        ),
        (
            CHEAP,
            BatchSettings(on=False, queue_rows=9),
            BatchRule(merge=False, max_rows=4096, call_rows=9900, queue_rows=9),
        ),
        (DEAR, BatchSettings(), BatchRule(max_rows=140, call_rows=140, lane="thread")),
        (DEAR, BatchSettings(on=False), BatchRule(merge=False, max_rows=140, call_rows=140, lane="thread")),
        (VERY_DEAR, BatchSettings(), BatchRule(max_rows=52, call_rows=52, lane="thread")),
    ],
)
def test_lane_and_cap_follow_from_the_cost_and_the_settings(
    found: Calibration, batching: BatchSettings, rule: BatchRule
) -> None:
    assert rule_for(found, batching, exact=False) == rule


@pytest.mark.parametrize(
    ("settings", "batching"),
    [
        ({}, BatchSettings()),
        ({"batching": False}, BatchSettings(on=False)),
        ({"batch_max_rows": 8, "batch_wait_ms": 2.0}, BatchSettings(True, 8, 2.0)),
        ({"model_batching": {"toy": "off"}}, BatchSettings(on=False)),
        ({"model_batching": {"toy": "rows:64+wait:0.5"}}, BatchSettings(True, 64, 0.5)),
        ({"model_batching": {"other": "off"}, "batch_max_rows": 7}, BatchSettings(True, 7, 0.0)),
    ],
)
def test_settings_say_what_is_wished_for_a_model(settings: dict[str, Any], batching: BatchSettings) -> None:
    assert batch_settings(Settings(**settings), "toy") == batching


def test_an_opened_version_says_what_was_measured(tmp_path: Path) -> None:
    store = Store(tmp_path)
    draft = summing_draft("toy")
    stored = store.add(draft.manifest, draft.files)
    served = open_served(stored, Threads(), BatchSettings())
    about = served.about()
    assert about["on"] and about["lane"] == "hub" and about["bit_exact"]
    found = Calibration(**{k: about[k] for k in Calibration.__slots__})
    assert about == described(found, rule_for(found, BatchSettings(), exact=False))
    assert served.answer(np.array([[1.0, 2.0]]), {"factor": 3.0}).outputs.values.tolist() == [9.0]
    served.close()
