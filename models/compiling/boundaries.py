"""Which rows stand on the edges of a model's trees, where a form that rounds differently gives itself away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.impute import SimpleImputer

from models.runtimes.sklearn_calls import parts

MAX_THRESHOLDS = 300

#: Larger than any cell that the server takes.
LARGEST = 3.4e38


def boundary_rows(model: Any, rows: np.ndarray, seed: int = 0) -> np.ndarray:
    """Copies of rows with one value at a threshold, and one step of float64 and of float32 to each side of it.

    rows : ndarray of shape (n_rows, n_columns); so is the result, which is empty for a model without trees or with
    transformers before them that cannot be undone.
    """
    steps, final = parts(model)
    found = np.array(sorted(set(_thresholds(final))), dtype=np.float64).reshape(-1, 2)
    if not len(found):
        return rows[:0]
    rng = np.random.default_rng(seed)
    chosen = found[np.sort(rng.permutation(len(found))[:MAX_THRESHOLDS])]
    made = rows[rng.integers(len(rows), size=len(chosen))].astype(np.float64)
    columns, values = chosen[:, 0].astype(int), chosen[:, 1]
    if steps:
        try:
            values = _before(steps, made, columns, values)
        except (
            Exception
        ):  # foreign code: not every transformer can be undone, and each says so in its own way
            return rows[:0]
    made = np.repeat(made, 7, axis=0)
    made[np.arange(len(made)), np.repeat(columns, 7)] = _around(values).ravel()
    return made[(np.isfinite(made) & (np.abs(made) <= LARGEST) | np.isnan(made)).all(axis=1)]


def node_count(model: Any) -> int:
    """How many nodes the trees of an ensemble have."""
    return sum(len(columns) for columns, _, _ in _trees(model))


def _thresholds(model: Any) -> Iterator[tuple[int, float]]:
    """(column, threshold) of every split."""
    for columns, thresholds, inner in _trees(model):
        yield from zip(columns[inner].tolist(), thresholds[inner].tolist(), strict=True)


def _trees(model: Any) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Column, threshold, and whether it splits by a number, of each node of each tree: arrays of shape (n_nodes,)."""
    for stage in getattr(model, "_predictors", ()):  # histogram boosting
        for predictor in stage:
            nodes = predictor.nodes
            inner = (nodes["is_leaf"] == 0) & (nodes["is_categorical"] == 0)
            yield nodes["feature_idx"], nodes["num_threshold"], inner & np.isfinite(nodes["num_threshold"])
    inside = getattr(model, "estimators_", ())  # a list, or of boosting an array
    for estimator in (model, *(inside.ravel() if isinstance(inside, np.ndarray) else inside)):
        if hasattr(estimator, "tree_"):
            tree = estimator.tree_
            yield tree.feature, tree.threshold, tree.children_left >= 0


def _before(steps: Any, made: np.ndarray, columns: np.ndarray, values: np.ndarray) -> np.ndarray:
    """What the transformers make the values from, to the last bit or so."""
    rows = np.nan_to_num(made)
    steps = [step for step in steps if not isinstance(step, SimpleImputer)]  # nothing is missing now
    for step in steps:
        rows = step.transform(rows)
    at = np.arange(len(rows))
    rows[at, columns] = values
    for step in reversed(steps):
        rows = step.inverse_transform(rows)
    found: np.ndarray = rows[at, columns]
    return found


def _around(values: np.ndarray) -> np.ndarray:
    """values : ndarray of shape (n,) -> (n, 7)."""
    with np.errstate(over="ignore"):
        short = values.astype(np.float32)
        return np.stack(
            [
                values,
                np.nextafter(values, -np.inf),
                np.nextafter(values, np.inf),
                short.astype(np.float64),
                np.nextafter(short, np.float32(-np.inf)).astype(np.float64),
                np.nextafter(short, np.float32(np.inf)).astype(np.float64),
                values + 1e-3 * np.abs(values),
            ],
            axis=1,
        )
