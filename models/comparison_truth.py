"""The comparison of two versions with known outcomes, and whether their difference is more than chance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from models.outputs import Outputs
from models.signature import Signature

RESAMPLES, LEVEL = 1000, 0.95
#: The quantile of the normal distribution for a two-sided interval of 95 %.
Z = 1.959963984540054


def compare_truth(signature: Signature, truth: np.ndarray, one: Outputs, other: Outputs) -> dict[str, Any]:
    """Compare two versions with known outcomes, ``truth``, of shape (n_rows,).

    Labels are scored by accuracy with Wilson's interval (1927), numbers by the mean absolute error with a
    bootstrap interval. The difference, second minus first, is taken on the same rows and has a bootstrap
    interval too. A row of several outputs is right only if all of them are.
    """
    rng = np.random.default_rng(0)
    if signature.output.kind in ("class", "several"):
        right = [
            np.array([v == t for v, t in zip(o.values.tolist(), truth.tolist(), strict=True)])
            for o in (one, other)
        ]
        scores = [{"value": share(r), "interval": _wilson(int(r.sum()), len(r))} for r in right]
        differences = right[1].astype(float) - right[0].astype(float)
        measure, better = "accuracy", "more"
    else:
        errors = [_absolute_errors(o, truth) for o in (one, other)]
        scores = [{"value": float(e.mean()), "interval": _bootstrap(e, rng)} for e in errors]
        differences = errors[1] - errors[0]
        measure, better = "mean absolute error", "less"
    low, high = interval = _bootstrap(differences, rng)
    return {
        "measure": measure,
        "better": better,
        "rows": len(truth),
        "scores": scores,
        "difference": {
            "value": float(differences.mean()),
            "interval": interval,
            "clear": not low <= 0.0 <= high,
        },
    }


def _absolute_errors(outputs: Outputs, truth: np.ndarray) -> np.ndarray:
    errors = np.abs(outputs.values.astype(float) - np.asarray(truth, dtype=float))
    means: np.ndarray = errors.reshape(len(errors), -1).mean(axis=1)
    return means


def share(flags: np.ndarray) -> float:
    return float(flags.mean()) if len(flags) else 0.0


def _wilson(right: int, n: int) -> list[float]:
    """Return Wilson's score interval of a proportion: J. Am. Stat. Assoc. 22 (1927), 209-212."""
    if not n:
        return [0.0, 1.0]
    p, z2 = right / n, Z * Z
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return [max(0.0, middle - half), min(1.0, middle + half)]


def _bootstrap(values: np.ndarray, rng: np.random.Generator) -> list[float]:
    """Return the percentile interval of the mean."""
    if not len(values):
        return [0.0, 0.0]
    means = [float(values[rng.integers(len(values), size=len(values))].mean()) for _ in range(RESAMPLES)]
    edge = (1 - LEVEL) / 2
    return [float(q) for q in np.quantile(means, (edge, 1 - edge))]
