"""The meaning of "the same answer". No other module defines one.

Labels, integers and text are identical. Floats lie within ``1e-9 + 1e-9 * |expected|`` and are finite in the
same places. Tree models meet this bit for bit; models that use BLAS may differ in the last bit between batch
sizes. A compiled form that computes in float32 records a wider tolerance, which replaces both 1e-9 above.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from models.outputs import Outputs

ABSOLUTE_TOLERANCE = 1e-9
RELATIVE_TOLERANCE = 1e-9
FLOAT32_TOLERANCE = 1e-5


def same_answers(expected: Outputs, actual: Outputs, tolerance: float = ABSOLUTE_TOLERANCE) -> bool:
    """Return whether ``actual`` has the same answer as ``expected`` for every row.

    ``tolerance`` is the absolute and the relative tolerance of floats; that of a compiled form is wider.
    """
    return all(
        (one is other) if one is None or other is None else _same(one, other, tolerance)
        for one, other in zip(expected.arrays, actual.arrays, strict=True)
    )


def largest_difference(expected: Outputs, actual: Outputs) -> float:
    """Return the largest difference between two floats of answers of one shape; 0 without floats."""
    pairs = zip(expected.arrays, actual.arrays, strict=True)
    floats = [(e, a) for e, a in pairs if e is not None and a is not None and e.dtype.kind == "f"]
    return max((float(np.abs(e - a).max()) for e, a in floats if e.size), default=0.0)


def _same(expected: Any, actual: Any, tolerance: float) -> bool:
    expected, actual = np.asarray(expected), np.asarray(actual)
    if expected.shape != actual.shape:
        return False
    if expected.dtype.kind == "f" and actual.dtype.kind == "f":
        return _same_floats(expected, actual, tolerance)
    return all(_same_value(e, a) for e, a in zip(expected.tolist(), actual.tolist(), strict=True))


def _same_floats(expected: np.ndarray, actual: np.ndarray, tolerance: float) -> bool:
    finite = np.isfinite(expected)
    if not np.array_equal(finite, np.isfinite(actual)):
        return False
    if not np.array_equal(expected[~finite], actual[~finite], equal_nan=True):
        return False
    allowed = tolerance + tolerance * np.abs(expected[finite])
    # The difference of two huge numbers may overflow to infinity, which exceeds every tolerance.
    with np.errstate(over="ignore"):
        return bool(np.all(np.abs(expected[finite] - actual[finite]) <= allowed))


def _same_value(expected: Any, actual: Any) -> bool:
    if isinstance(expected, dict) and isinstance(actual, dict):
        return expected.keys() == actual.keys() and all(
            _same_value(v, actual[k]) for k, v in expected.items()
        )
    if isinstance(expected, list) and isinstance(actual, list):
        return len(expected) == len(actual) and all(map(_same_value, expected, actual))
    if isinstance(expected, float) and isinstance(actual, float):
        if not (math.isfinite(expected) and math.isfinite(actual)):
            return expected == actual or (math.isnan(expected) and math.isnan(actual))
        return abs(expected - actual) <= ABSOLUTE_TOLERANCE + RELATIVE_TOLERANCE * abs(expected)
    return type(expected) is type(actual) and bool(expected == actual)
