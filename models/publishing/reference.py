"""The reference statistics of the training data, column by column, against which drift is measured later."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from models.signature import MOMENTS, Column

#: The file of a version with its reference statistics.
REFERENCE = "reference.json"
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
HISTOGRAM_BINS = 20
MAX_COUNTED_VALUES = 100
MOMENT_UNIT = "seconds since 1970-01-01"


def column_statistics(columns: tuple[Column, ...], rows: np.ndarray) -> list[dict[str, Any]]:
    """Return one JSON object for each column of ``rows``, which have shape (n_rows, n_columns).

    Numeric columns have quantiles and a histogram (``counts`` between ``edges``). Dates and date-times have
    them too, in seconds since 1970 (UTC, if they have an offset). Other columns have the counts of their most
    frequent values. ``missing`` counts NaN and None.
    """
    return [_statistics(column, rows[:, j]) for j, column in enumerate(columns)]


def observed_range(
    cells: list[Any], moment: Callable[[str], int | None] | None = None
) -> tuple[Any, Any] | None:
    """Return the smallest and largest finite number among the cells; None without one.

    With ``moment`` (``Column.moment``), the cells are dates or date-times, and the range is the first and the
    last of their texts.
    """
    if moment is not None:
        dated = [(at, text) for text in cells if text is not None and (at := moment(text)) is not None]
        return (min(dated)[1], max(dated)[1]) if dated else None
    present = [float(c) for c in cells if c is not None and math.isfinite(c)]
    return (min(present), max(present)) if present else None


def _statistics(column: Column, cells: np.ndarray) -> dict[str, Any]:
    """Return the statistics of cells of shape (n_rows,), float64 or object."""
    present = cells[~np.isnan(cells)] if cells.dtype == np.float64 else _present(cells.tolist())
    base = {"name": column.name, "rows": len(cells), "missing": len(cells) - len(present)}
    if not len(present):
        return base
    if column.dtype in MOMENTS:
        moments = [at / 1e9 for text in present if (at := column.moment(text)) is not None]
        return {**base, "unit": MOMENT_UNIT, **_distribution(np.array(moments))} if moments else base
    if column.numeric:
        return {**base, **_distribution(np.asarray(present, dtype=np.float64))}
    counts = Counter(map(str, present))
    top = dict(counts.most_common(MAX_COUNTED_VALUES))
    return {**base, "counts": top, "other": sum(counts.values()) - sum(top.values())}


def _present(cells: list[Any]) -> list[Any]:
    return [c for c in cells if c is not None and c == c]  # NaN is not equal to itself


def _distribution(numbers: np.ndarray) -> dict[str, Any]:
    """Return the distribution of numbers of shape (n,), n >= 1.

    They are sorted once, since ``np.quantile`` and ``np.histogram`` take most of the time of publishing a
    table of ten thousand columns.
    """
    numbers = np.sort(numbers)
    low, high = float(numbers[0]), float(numbers[-1])
    spread = (low, high) if low < high else (low - 0.5, high + 0.5)
    edges = np.linspace(*spread, HISTOGRAM_BINS + 1)
    below = [0, *np.searchsorted(numbers, edges[1:-1]).tolist(), len(numbers)]
    quantiles = np.interp(np.multiply(QUANTILES, len(numbers) - 1), np.arange(len(numbers)), numbers)
    return {
        "mean": float(numbers.mean()),
        "std": float(numbers.std()),
        "quantiles": dict(zip(map(str, QUANTILES), quantiles.tolist(), strict=True)),
        "histogram": {
            "edges": edges.tolist(),
            "counts": [end - start for start, end in pairwise(below)],
        },
    }
