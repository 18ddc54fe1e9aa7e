"""What a version's calls cost, measured when it is loaded, and the lane that follows from it.

A call that is short runs on the hub: a thread would compute nothing sooner. A longer one runs on a native thread, so that
the hub can go on, and takes only as many rows as keep it short: most models hold the interpreter's lock while they compute.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from app.concurrency.forms import Concurrency
from app.inference.batcher import BatchRule
from models.compare import same_answers
from models.golden import GoldenRows
from models.outputs import Outputs

#: A batch of 64 rows that takes longer is none for the hub. How long a cap on its rows lets a call take, on either lane.
HUB_MS, LONGEST_MS = 2.0, 10.0
#: How many golden rows are asked one by one, and how many together.
SINGLE_ROWS = 16
BATCH_ROWS = 64
REPEATS = 3
#: About how long each of the series of calls may take.
BUDGET_MS = 200.0
#: Between two calls others have their turn.
PAUSE_SECONDS = 0.0005


@dataclass(frozen=True, slots=True)
class Calibration:
    """A call of n rows takes about ``base_ms + n * row_ms``. ``same_answers`` : batched ones are, as ``models.compare``
    means it; ``stall_ms`` : how long the hub waited at most while 64 rows were answered on a thread, if that was tried.
    """

    base_ms: float
    row_ms: float
    same_answers: bool
    bit_exact: bool
    max_abs_difference: float
    stall_ms: float | None = None

    def call_ms(self, n_rows: int) -> float:
        """How long a call takes."""
        return self.base_ms + n_rows * self.row_ms

    def rows_within(self, ms: float) -> int:
        """About how many rows a call of so many milliseconds answers; at least 1."""
        return max(1, round((ms - self.base_ms) / max(self.row_ms, 1e-6)))


@dataclass(frozen=True, slots=True)
class BatchWish:
    """What the settings say about a version: batching at all, the row cap, a wait for company (milliseconds), and how many
    rows may wait for it."""

    on: bool = True
    max_rows: int = 4096
    wait_ms: float = 0.0
    queue_rows: int = 65_536


def calibrate(
    call: Callable[[np.ndarray], Outputs],
    golden: GoldenRows,
    concurrency: Concurrency,
) -> Calibration:
    """Ask golden rows singly and together; raises what the model raises. It is asked as it will be by clients: on a native
    thread, as long as it is not known to answer so fast that the hub can wait for it."""

    def timed(asked: np.ndarray, slow: bool) -> tuple[float, Outputs]:
        def ask() -> tuple[float, Outputs]:
            began = concurrency.now()
            outputs = call(asked)
            return concurrency.now() - began, outputs

        seconds, outputs = concurrency.on_thread(ask) if slow else ask()
        concurrency.pause(PAUSE_SECONDS)
        return seconds * 1000, outputs

    singles = [timed(golden.rows[:1], True)]
    affordable = int(BUDGET_MS / max(singles[0][0], 1e-3))
    rows = golden.rows[: max(2, min(SINGLE_ROWS, affordable))]
    many_rows = max(2, min(BATCH_ROWS, affordable))
    slow = True
    for i in range(1, len(rows)):
        # Nobody may be held up, and no worker given up, by what is only measured.
        slow = float(np.median([ms for ms, _ in singles])) > HUB_MS
        singles.append(timed(rows[i : i + 1], slow))
    together = timed(rows, slow)[1]
    apart = Outputs.joined([outputs for _, outputs in singles])
    many = _repeated(golden.rows, many_rows)
    single_ms, noise_ms = _middle([ms for ms, _ in singles])
    batch_ms = min(timed(many, slow)[0] for _ in range(1 if slow else REPEATS))
    # A few rows more hardly show beside a long call: more of them are asked together, as long as that stays affordable.
    while len(many) < BATCH_ROWS and batch_ms < BUDGET_MS:
        many = _repeated(golden.rows, min(BATCH_ROWS, 4 * len(many)))
        batch_ms = timed(many, slow)[0]
    # What is less than the noise of single calls was not measured: it may be as much.
    row_ms = max(batch_ms - single_ms, noise_ms) / (len(many) - 1)
    difference = _difference(apart, together)
    found = Calibration(
        base_ms=round(max(0.0, single_ms - row_ms), 4),
        row_ms=round(row_ms, 6),
        same_answers=same_answers(apart, together),
        bit_exact=difference == 0.0,
        max_abs_difference=difference,
    )
    if found.call_ms(BATCH_ROWS) <= HUB_MS:
        return found
    return replace(found, stall_ms=round(_stall_ms(lambda: call(many), concurrency), 3))


def rule_for(found: Calibration, wish: BatchWish, *, exact: bool, alone: bool = False) -> BatchRule:
    """The lane of a version. ``exact`` : its publisher wants the bits of a single call in every answer; ``alone`` : no two
    requests may share a call, as was seen with more rows than are asked here."""
    merge = wish.on and not alone and found.same_answers and (found.bit_exact or not exact)
    slow = found.call_ms(min(BATCH_ROWS, wish.max_rows) if merge else 1) > HUB_MS
    # Where one row takes long already, a batch may take twice that: it is where batching saves most.
    most = found.rows_within(max(LONGEST_MS, 2 * found.call_ms(1)))
    return BatchRule(
        merge=merge,
        max_rows=min(wish.max_rows, most),
        call_rows=most,
        wait_seconds=wish.wait_ms / 1000,
        queue_rows=wish.queue_rows,
        lane="thread" if slow else "hub",
    )


def described(found: Calibration | None, rule: BatchRule) -> dict[str, Any]:
    """What the catalog says about a version's batching."""
    return {
        "on": rule.merge,
        "lane": rule.lane,
        "max_rows": rule.max_rows if rule.merge else 1,
        "wait_ms": rule.wait_seconds * 1000,
        **(asdict(found) if found else {}),
    }


def _repeated(rows: np.ndarray, n: int) -> np.ndarray:
    """n rows: these again and again."""
    return rows[np.resize(np.arange(len(rows)), n)]


def _middle(times: list[float]) -> tuple[float, float]:
    """The median, and how much more a quarter of them takes."""
    middle, upper = np.percentile(times, (50, 75)).tolist()
    return middle, upper - middle


def _stall_ms(call: Callable[[], Outputs], concurrency: Concurrency) -> float:
    """How late a millisecond's sleep is at most while the call runs on a native thread."""
    running = True
    late = [0.0]

    def echo() -> None:
        while running:
            began = concurrency.now()
            concurrency.pause(0.001)
            late.append(concurrency.now() - began - 0.001)

    concurrency.spawn(echo)
    concurrency.pause(0.002)
    try:
        concurrency.on_thread(call)
        concurrency.pause(0.002)
    finally:
        running = False
    return max(late) * 1000


def _difference(expected: Outputs, actual: Outputs) -> float:
    """The largest difference between two floats of the answers; infinite where anything else differs."""
    found = 0.0
    for one, other in zip(expected.arrays, actual.arrays, strict=True):
        if one is None or other is None:
            found = found if one is other else float("inf")
        elif one.dtype.kind == "f" and other.dtype.kind == "f" and one.shape == other.shape:
            found = max(found, float(np.max(np.abs(one - other), initial=0.0)))
        elif one.tolist() != other.tolist():
            found = float("inf")
    return found
