"""Which rows stand on the edges of a model's trees, where a form that rounds differently gives itself
away.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.impute import SimpleImputer

from models.errors import CompileError
from models.runtimes.estimator_parts import estimator_parts
from models.runtimes.sklearn_calls import parts

MAX_THRESHOLDS = 300

#: Larger than any cell that the server takes.
LARGEST = 3.4e38


def boundary_rows(model: Any, rows: np.ndarray, seed: int = 0) -> np.ndarray:
    """Copies of rows with one value at a threshold, and one step of float64 and of float32 to each side of
    it.

    rows: ndarray of shape (n_rows, n_columns); so is the result, which is empty for a model without trees.
    Raises CompileError when there are trees, and no row can be made for them.
    """
    steps, final = parts(getattr(model, "best_estimator_", model))
    final = getattr(final, "best_estimator_", final)
    _check_all_in_reach(parts(model)[1], final)
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
        ) as error:  # foreign code: each transformer that cannot be undone says so in its own way
            names = ", ".join(type(step).__name__ for step in steps)
            raise CompileError(f"no row at a threshold of its trees can be made behind {names}") from error
    made = np.repeat(made, 7, axis=0)
    made[np.arange(len(made)), np.repeat(columns, 7)] = _around(values).ravel()
    return made[(np.isfinite(made) & (np.abs(made) <= LARGEST) | np.isnan(made)).all(axis=1)]


def node_counts(model: Any) -> list[int]:
    """How many nodes each tree of an ensemble has."""
    return [len(columns) for columns, _, _ in _trees(model)]


def _check_all_in_reach(outer: Any, final: Any) -> None:
    """Raises CompileError for trees inside other estimators, and for trees that number their columns anew:
    what is made for their thresholds would be nothing, or would be anywhere.
    """
    every = sum(
        hasattr(part, "tree_") + sum(map(len, getattr(part, "_predictors", ())))
        for part in estimator_parts(outer)
    )
    own_columns = [list(columns) for columns in getattr(final, "estimators_features_", ())]
    numbered_anew = any(columns != list(range(final.n_features_in_)) for columns in own_columns)
    if sum(1 for _ in _trees(final)) < every or numbered_anew:
        raise CompileError(f"no row at a threshold can be made for the trees inside {type(final).__name__}")


def _thresholds(model: Any) -> Iterator[tuple[int, float]]:
    """(column, threshold) of every split."""
    for columns, thresholds, inner in _trees(model):
        yield from zip(columns[inner].tolist(), thresholds[inner].tolist(), strict=True)


def _trees(model: Any) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Column, threshold, and whether it splits by a number, of each node of each tree: arrays of shape
    (n_nodes,).
    """
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
