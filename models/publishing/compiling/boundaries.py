"""Rows at the edges of a model's trees, where a form that rounds differently gives other answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.impute import SimpleImputer

from models.errors import CompileError
from models.runtimes.estimator_parts import estimator_parts
from models.runtimes.sklearn_calls import parts

MAX_THRESHOLDS = 300

#: Larger than any cell that the server accepts.
LARGEST = 3.4e38


def boundary_rows(model: Any, rows: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return copies of rows with one value at a threshold, or one step of float64 or float32 next to it.

    ``rows`` and the result are ndarrays of shape (n_rows, n_columns). The result is empty for a model without
    trees. Raises CompileError if the model has trees for which no row can be made.
    """
    steps, final = parts(getattr(model, "best_estimator_", model))
    final = getattr(final, "best_estimator_", final)
    _check_all_in_reach(parts(model)[1], final)
    thresholds = np.array(sorted(set(_thresholds(final))), dtype=np.float64).reshape(-1, 2)
    if not len(thresholds):
        return rows[:0]
    rng = np.random.default_rng(seed)
    selected = thresholds[np.sort(rng.permutation(len(thresholds))[:MAX_THRESHOLDS])]
    boundary = rows[rng.integers(len(rows), size=len(selected))].astype(np.float64)
    columns, values = selected[:, 0].astype(int), selected[:, 1]
    if steps:
        try:
            values = _before(steps, boundary, columns, values)
        except Exception as error:  # each transformer without an inverse raises its own error
            names = ", ".join(type(step).__name__ for step in steps)
            raise CompileError(f"no row at a threshold of its trees can be made behind {names}") from error
    boundary = np.repeat(boundary, 7, axis=0)
    boundary[np.arange(len(boundary)), np.repeat(columns, 7)] = _around(values).ravel()
    return boundary[(np.isfinite(boundary) & (np.abs(boundary) <= LARGEST) | np.isnan(boundary)).all(axis=1)]


def node_counts(model: Any) -> list[int]:
    """Return the number of nodes of each tree of an ensemble."""
    return [len(columns) for columns, _, _ in _trees(model)]


def _check_all_in_reach(outer: Any, final: Any) -> None:
    """Raise CompileError for trees inside other estimators, and for trees that number their columns
    differently.

    Rows could not be made for the thresholds of the former, and would be wrong for those of the latter.
    """
    n_trees = sum(
        hasattr(part, "tree_") + sum(map(len, getattr(part, "_predictors", ())))
        for part in estimator_parts(outer)
    )
    own_columns = [list(columns) for columns in getattr(final, "estimators_features_", ())]
    renumbered = any(columns != list(range(final.n_features_in_)) for columns in own_columns)
    if sum(1 for _ in _trees(final)) < n_trees or renumbered:
        raise CompileError(f"no row at a threshold can be made for the trees inside {type(final).__name__}")


def _thresholds(model: Any) -> Iterator[tuple[int, float]]:
    """Yield the column and the threshold of every split."""
    for columns, thresholds, inner in _trees(model):
        yield from zip(columns[inner].tolist(), thresholds[inner].tolist(), strict=True)


def _trees(model: Any) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield three arrays of shape (n_nodes,) for each tree: column, threshold, and whether a node splits by a
    number.
    """
    for stage in getattr(model, "_predictors", ()):  # histogram boosting
        for predictor in stage:
            nodes = predictor.nodes
            inner = (nodes["is_leaf"] == 0) & (nodes["is_categorical"] == 0)
            yield nodes["feature_idx"], nodes["num_threshold"], inner & np.isfinite(nodes["num_threshold"])
    inside = getattr(model, "estimators_", ())  # a list, or an array for boosting
    for estimator in (model, *(inside.ravel() if isinstance(inside, np.ndarray) else inside)):
        if hasattr(estimator, "tree_"):
            tree = estimator.tree_
            yield tree.feature, tree.threshold, tree.children_left >= 0


def _before(steps: Any, boundary: np.ndarray, columns: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the values from which the transformers make ``values``, accurate to about the last bit."""
    rows = np.nan_to_num(boundary)
    steps = [
        step for step in steps if not isinstance(step, SimpleImputer)
    ]  # the rows have no missing values now
    for step in steps:
        rows = step.transform(rows)
    index = np.arange(len(rows))
    rows[index, columns] = values
    for step in reversed(steps):
        rows = step.inverse_transform(rows)
    inputs: np.ndarray = rows[index, columns]
    return inputs


def _around(values: np.ndarray) -> np.ndarray:
    """Return the values and their neighbours: shape (n,) -> (n, 7)."""
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
