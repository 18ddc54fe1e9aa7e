"""Calibration: what a version's calls cost, measured when it is loaded, and the batching rule that follows.

Short calls run on the event loop's thread, because a thread of their own would not compute sooner. Longer
ones run on a native thread, so that the loop goes on. Most models hold the interpreter's lock while they
compute, so the rows of a call are limited as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from app.concurrency.forms import Concurrency
from app.inference.batcher import BatchRule
from models.golden import GoldenRows
from models.outputs import Outputs
from models.sameness import same_answers

#: A model whose call for BATCH_ROWS rows takes longer than this runs on a native thread.
HUB_MS = 2.0
#: The limit on the rows of a call keeps calls below this, on either lane.
LONGEST_MS = 10.0
#: How many golden rows are predicted one by one, and how many in a batch.
SINGLE_ROWS = 16
BATCH_ROWS = 64
#: How often a short batch is measured; the minimum counts.
REPEATS = 3
#: About how long each of the two series of calls may take.
BUDGET_MS = 200.0
#: The pause between two calls, in which requests run.
PAUSE_SECONDS = 0.0005


@dataclass(frozen=True, slots=True)
class Calibration:
    """The measured cost of a model's calls: a call of n rows takes about ``base_ms + n * row_ms``."""

    base_ms: float
    row_ms: float
    #: Batched answers are the same as single ones, within the tolerance of ``models.sameness``.
    same_answers: bool
    #: Batched answers have the same bits as single ones.
    bit_exact: bool
    max_abs_difference: float
    #: The longest that the event loop was blocked during a call of BATCH_ROWS rows on a native thread; None
    #: if the model is short enough for the loop's own thread.
    stall_ms: float | None = None

    def call_ms(self, n_rows: int) -> float:
        """Return the estimated milliseconds of a call of ``n_rows`` rows."""
        return self.base_ms + n_rows * self.row_ms

    def rows_within(self, ms: float) -> int:
        """Return about how many rows a call of ``ms`` milliseconds answers; at least 1."""
        return max(1, round((ms - self.base_ms) / max(self.row_ms, 1e-6)))


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """The batching settings of a version."""

    on: bool = True
    #: The most rows of a call that several requests share.
    max_rows: int = 4096
    #: How long a request waits for others although the model is idle.
    wait_ms: float = 0.0
    #: The most rows that may wait for the version.
    queue_rows: int = 65_536


def calibrate(
    call: Callable[[np.ndarray], Outputs],
    golden: GoldenRows,
    concurrency: Concurrency,
) -> Calibration:
    """Measure calls for single golden rows and for batches of them. Raises what the model raises.

    Calls run on a native thread until the model is known to be fast enough for the event loop's thread, as
    its requests will be.
    """

    def timed(rows: np.ndarray, slow: bool) -> tuple[float, Outputs]:
        def predict() -> tuple[float, Outputs]:
            began = concurrency.now()
            outputs = call(rows)
            return concurrency.now() - began, outputs

        seconds, outputs = concurrency.on_thread(predict) if slow else predict()
        concurrency.pause(PAUSE_SECONDS)
        return seconds * 1000, outputs

    singles = [timed(golden.rows[:1], True)]
    affordable = int(BUDGET_MS / max(singles[0][0], 1e-3))
    rows = golden.rows[: max(2, min(SINGLE_ROWS, affordable))]
    many_rows = max(2, min(BATCH_ROWS, affordable))
    slow = True
    for i in range(1, len(rows)):
        # A measurement must neither delay requests nor block the worker until gunicorn replaces it.
        slow = float(np.median([ms for ms, _ in singles])) > HUB_MS
        singles.append(timed(rows[i : i + 1], slow))
    batched = timed(rows, slow)[1]
    single = Outputs.joined([outputs for _, outputs in singles])
    many = _repeated(golden.rows, many_rows)
    single_ms, noise_ms = _middle([ms for ms, _ in singles])
    batch_ms = min(timed(many, slow)[0] for _ in range(1 if slow else REPEATS))
    # The cost of a few more rows is lost in the noise of a long call: measure more rows while the budget
    # allows.
    while len(many) < BATCH_ROWS and batch_ms < BUDGET_MS:
        many = _repeated(golden.rows, min(BATCH_ROWS, 4 * len(many)))
        batch_ms = timed(many, slow)[0]
    # A difference below the noise of single calls was not measured: assume the noise instead.
    row_ms = max(batch_ms - single_ms, noise_ms) / (len(many) - 1)
    difference = _difference(single, batched)
    calibration = Calibration(
        base_ms=round(max(0.0, single_ms - row_ms), 4),
        row_ms=round(row_ms, 6),
        same_answers=same_answers(single, batched),
        bit_exact=difference == 0.0,
        max_abs_difference=difference,
    )
    if calibration.call_ms(BATCH_ROWS) <= HUB_MS:
        return calibration
    return replace(calibration, stall_ms=round(_stall_ms(lambda: call(many), concurrency), 3))


def rule_for(
    calibration: Calibration, batching: BatchSettings, *, exact: bool, alone: bool = False
) -> BatchRule:
    """Return the batching rule that follows from the measurement and the settings.

    With ``exact`` every answer must have the bits of a single call. With ``alone`` requests never share a
    call, because publishing found differences with more rows than are measured here.
    """
    merge = batching.on and not alone and calibration.same_answers and (calibration.bit_exact or not exact)
    slow = calibration.call_ms(min(BATCH_ROWS, batching.max_rows) if merge else 1) > HUB_MS
    # If one row alone takes long, a call may take twice that time, because there batching saves most.
    call_rows = calibration.rows_within(max(LONGEST_MS, 2 * calibration.call_ms(1)))
    return BatchRule(
        merge=merge,
        max_rows=min(batching.max_rows, call_rows),
        call_rows=call_rows,
        wait_seconds=batching.wait_ms / 1000,
        queue_rows=batching.queue_rows,
        lane="thread" if slow else "hub",
    )


def described(calibration: Calibration | None, rule: BatchRule) -> dict[str, Any]:
    """Return a version's batching as JSON data, for the catalog."""
    return {
        "on": rule.merge,
        "lane": rule.lane,
        "max_rows": rule.max_rows if rule.merge else 1,
        "wait_ms": rule.wait_seconds * 1000,
        **(asdict(calibration) if calibration else {}),
    }


def _repeated(rows: np.ndarray, n: int) -> np.ndarray:
    """Return n rows, repeating the given ones."""
    return rows[np.resize(np.arange(len(rows)), n)]


def _middle(times: list[float]) -> tuple[float, float]:
    """Return the median, and how far the upper quartile lies above it."""
    middle, upper = np.percentile(times, (50, 75)).tolist()
    return middle, upper - middle


def _stall_ms(call: Callable[[], Outputs], concurrency: Concurrency) -> float:
    """Return how late sleeps of a millisecond end at most while the call runs on a native thread."""
    running = True
    late = [0.0]

    def measure() -> None:
        while running:
            began = concurrency.now()
            concurrency.pause(0.001)
            late.append(concurrency.now() - began - 0.001)

    concurrency.spawn(measure)
    concurrency.pause(0.002)
    try:
        concurrency.on_thread(call)
        concurrency.pause(0.002)
    finally:
        running = False
    return max(late) * 1000


def _difference(expected: Outputs, actual: Outputs) -> float:
    """Return the largest difference between two floats; infinite where anything else differs."""
    difference = 0.0
    for one, other in zip(expected.arrays, actual.arrays, strict=True):
        if one is None or other is None:
            difference = difference if one is other else float("inf")
        elif one.dtype.kind == "f" and other.dtype.kind == "f" and one.shape == other.shape:
            difference = max(difference, float(np.max(np.abs(one - other), initial=0.0)))
        elif one.tolist() != other.tolist():
            difference = float("inf")
    return difference
