"""How a scikit-learn estimator is asked with the least work that gives the same answer.

Two things cost time without changing an answer: asking for labels and probabilities in two calls, and what a forest does
around each of its trees (checks, and a job for each tree). Whoever loads an estimator compares ``shorter`` with ``plain``
on golden rows, bit for bit, before it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier

from models.outputs import Outputs

#: X of n_rows rows, array or DataFrame, to the answers.
Call = Callable[[Any], Outputs]

#: Their label is the class of the largest probability. Only these types themselves: a subclass may define another.
LARGEST_IS_LABEL = frozenset(
    {
        DecisionTreeClassifier,
        ExtraTreesClassifier,
        GaussianNB,
        GradientBoostingClassifier,
        HistGradientBoostingClassifier,
        LogisticRegression,
        MLPClassifier,
        RandomForestClassifier,
    }
)
FORESTS = frozenset(
    {ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor}
)

#: Two probabilities this close may be in the other order before they are rounded: then the estimator is asked itself.
TIE = 1e-9


def plain(model: Any, probability: bool) -> Call:
    """``predict``, and ``predict_proba`` where the signature has probabilities."""

    def call(X: Any) -> Outputs:
        values = np.asarray(model.predict(X))
        return Outputs(values, np.asarray(model.predict_proba(X), dtype=np.float64) if probability else None)

    return call


def shorter(model: Any, probability: bool) -> Call | None:
    """A call with less work, for the estimators of which it is known; None for others."""
    steps, final = _parts(model)
    if not probability:
        forest = _forest(final)
        return (
            None
            if forest is None or hasattr(final, "classes_")
            else _after(steps, lambda X: Outputs(forest(X)[:, 0]))
        )
    if type(final) not in LARGEST_IS_LABEL or not isinstance(final.classes_, np.ndarray):
        return None
    probabilities = _forest(final) or final.predict_proba
    classes = final.classes_

    def call(X: Any) -> Outputs:
        found = np.asarray(probabilities(X), dtype=np.float64)
        ordered = np.sort(found, axis=1)
        if found.shape[1] > 1 and (ordered[:, -1] - ordered[:, -2] <= TIE).any():
            return Outputs(np.asarray(final.predict(X)), found)
        return Outputs(classes[found.argmax(axis=1)], found)

    return _after(steps, call)


def same_bits(one: Outputs, other: Outputs) -> bool:
    """Whether two answers are the same in every bit."""
    pairs = ((one.values, other.values), (one.probabilities, other.probabilities))
    return all(
        a is b
        or (
            a is not None
            and b is not None
            and a.dtype == b.dtype
            and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        )
        for a, b in pairs
    )


def _parts(model: Any) -> tuple[Sequence[Any], Any]:
    """The transformers of a pipeline and its last step; any other estimator is its own last step."""
    if type(model) is not Pipeline or model.memory is not None:
        return (), model
    *steps, (_, final) = model.steps
    return [step for _, step in steps if step is not None and step != "passthrough"], final


def _after(steps: Sequence[Any], call: Call) -> Call:
    """The call, given what the transformers make of X."""
    if not steps:
        return call

    def transformed(X: Any) -> Outputs:
        for step in steps:
            X = step.transform(X)
        return call(X)

    return transformed


def _forest(model: Any) -> Callable[[Any], np.ndarray] | None:
    """The mean over the trees of a forest with one output: (n_rows, n_classes) or (n_rows, 1), added up in their order.

    Each tree is scikit-learn's own (``tree_.predict`` on float32 rows); what is left out is what surrounds it.
    """
    if type(model) not in FORESTS or model.n_outputs_ != 1:
        return None
    trees = [estimator.tree_ for estimator in model.estimators_]
    width = int(getattr(model, "n_classes_", 1))

    def mean(X: Any) -> np.ndarray:
        with np.errstate(over="ignore"):
            rows = np.ascontiguousarray(X, dtype=np.float32)
        if not np.isfinite(rows).all():  # whether that is an error is for the forest to say
            found: np.ndarray = (
                model.predict_proba(X) if hasattr(model, "classes_") else model.predict(X)[:, None]
            )
            return found
        total = np.zeros((len(rows), width), dtype=np.float64)
        for tree in trees:
            total += tree.predict(rows)
        total /= len(trees)
        return total

    return mean
