"""What the training data looked like, column by column: the reference that drift is measured against later."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np

from models.signature import Column

QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
HISTOGRAM_BINS = 20
MAX_COUNTED_VALUES = 100


def column_statistics(columns: tuple[Column, ...], rows: np.ndarray) -> list[dict[str, Any]]:
    """One JSON object a column of ``rows``, which is of shape (n_rows, n_columns).

    Numeric columns have quantiles and a histogram (``counts`` between ``edges``), the others the counts of their
    most frequent values. ``missing`` counts NaN and None.
    """
    return [_statistics(column, rows[:, j].tolist()) for j, column in enumerate(columns)]


def observed_range(cells: list[Any]) -> tuple[float, float] | None:
    """The smallest and largest finite number among the cells, or None when there is none."""
    present = [float(c) for c in cells if c is not None and math.isfinite(c)]
    return (min(present), max(present)) if present else None


def _statistics(column: Column, cells: list[Any]) -> dict[str, Any]:
    present = [c for c in cells if c is not None and c == c]  # NaN is not equal to itself
    base = {"name": column.name, "rows": len(cells), "missing": len(cells) - len(present)}
    if not present:
        return base
    if not column.numeric:
        counts = Counter(map(str, present))
        top = dict(counts.most_common(MAX_COUNTED_VALUES))
        return {**base, "counts": top, "other": sum(counts.values()) - sum(top.values())}
    numbers = np.asarray(present, dtype=np.float64)
    counts_, edges = np.histogram(numbers, bins=HISTOGRAM_BINS)
    return {
        **base,
        "mean": float(numbers.mean()),
        "std": float(numbers.std()),
        "quantiles": {
            str(q): float(v) for q, v in zip(QUANTILES, np.quantile(numbers, QUANTILES), strict=True)
        },
        "histogram": {"edges": edges.tolist(), "counts": counts_.tolist()},
    }
