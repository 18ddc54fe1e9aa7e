"""The duration of a runtime's calls."""

from __future__ import annotations

import statistics
import time

import numpy as np

from models.golden import GoldenRows
from models.runtime import Runtime

TIMED_ROWS = (1, 8, 64)
TIMING_BUDGET_SECONDS = 0.25
MIN_CALLS, MAX_CALLS = 3, 50


def measured_ms(runtime: Runtime, golden: GoldenRows) -> dict[str, float]:
    """Return the median milliseconds of one call, by its number of rows as text."""
    return {str(n): median_ms(runtime, golden, n) for n in TIMED_ROWS}


def median_ms(runtime: Runtime, golden: GoldenRows, n_rows: int) -> float:
    """Return the median milliseconds of one call with ``n_rows`` rows."""
    batch = golden.rows[np.resize(np.arange(len(golden.rows)), n_rows)]
    times: list[float] = []
    deadline = time.perf_counter() + TIMING_BUDGET_SECONDS
    while len(times) < MIN_CALLS or (len(times) < MAX_CALLS and time.perf_counter() < deadline):
        began = time.perf_counter()
        runtime.predict(batch, golden.parameters)
        times.append((time.perf_counter() - began) * 1000.0)
    return round(statistics.median(times), 4)
