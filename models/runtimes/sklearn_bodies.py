"""The computations of some of scikit-learn's estimators, without the checks and jobs around them.

For one row, those take ten times as long as the computation itself. Each function returns what the
estimator's own method returns, from its fitted attributes and with its own trees; rows that the estimator may
refuse are left to it. ``sklearn_calls`` compares the two bit for bit before one is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from models.runtimes.sklearn_names import public_name

#: A function from X of shape (n_rows, n_features), float64, to what the estimator's method returns.
Body = Callable[[np.ndarray], np.ndarray]

T = TypeVar("T")

#: The number of rows from which sorting similar rows together pays.
ORDERED_ROWS = 64


def body_of(model: Any, method: str) -> Body | None:
    """Return the computation of ``method`` (predict_proba, predict or transform); None if it is not known.

    Only the types in the tables themselves count: a subclass may compute something else.
    """
    make = _BODIES[method].get(public_name(type(model)))
    try:
        return make(model) if make else None
    except AttributeError:  # another release, or fitted in another way
        return None


def _usual(X: Any) -> bool:
    """Return whether X is an array of nearly every request, without values that an estimator may refuse or
    convert.
    """
    return type(X) is np.ndarray and X.dtype == np.float64 and bool(np.isfinite(X).all())


def _through(
    trees: Sequence[T],
    rows: np.ndarray,
    total: np.ndarray,
    add: Callable[[Sequence[T], np.ndarray, np.ndarray], None],
) -> np.ndarray:
    """Add the trees' values for the rows to ``total``, of shape (n_rows, width), row by row in the trees'
    order.

    Rows with the same values in the first trees take similar paths through the others too. Sorted together,
    they let the processor predict these paths, which saves up to two fifths of the time; docs/performance.md
    has the figures.
    """
    first = len(trees) // 10
    if not first or len(rows) < ORDERED_ROWS:
        add(trees, rows, total)
        return total
    add(trees[:first], rows, total)
    order = np.argsort(total @ np.arange(1.0, total.shape[1] + 1))
    ordered = np.empty_like(total)
    np.take(total, order, axis=0, out=ordered)
    add(trees[first:], rows[order], ordered)
    total[order] = ordered
    return total


def _forest(model: Any) -> Body | None:
    """Return the mean over the trees of a forest with one output, added in the order of the trees."""
    if model.n_outputs_ != 1:
        return None
    trees = [estimator.tree_.predict for estimator in model.estimators_]
    is_classifier = hasattr(model, "classes_")
    width = int(model.n_classes_) if is_classifier else 1
    whole = model.predict_proba if is_classifier else model.predict

    def add(trees: Sequence[Body], rows: np.ndarray, total: np.ndarray) -> None:
        for predict in trees:
            total += predict(rows)

    def mean(X: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            rows = np.ascontiguousarray(X, dtype=np.float32) if _usual(X) else None
        if rows is None or not np.isfinite(rows).all():
            return np.asarray(whole(X))
        total = _through(trees, rows, np.zeros((len(rows), width), dtype=np.float64), add)
        total /= len(trees)
        return total if is_classifier else total[:, 0]

    return mean


def _boosting(model: Any, whole: Body, finish: Body) -> Body | None:
    """Return the sum over the trees of a histogram boosting without categories, passed through its link."""
    if model._preprocessor is not None:
        return None
    bitsets, positions = model._bin_mapper.make_known_categories_bitsets()
    baseline, width = model._baseline_prediction, model.n_trees_per_iteration_
    trees = [(k, tree.predict) for iteration in model._predictors for k, tree in enumerate(iteration)]

    def add(trees: Sequence[tuple[int, Any]], rows: np.ndarray, total: np.ndarray) -> None:
        columns = [total[:, k] for k in range(width)]
        for k, predict in trees:
            np.add(columns[k], predict(rows, bitsets, positions, 1), columns[k])

    def total(X: np.ndarray) -> np.ndarray:
        if type(X) is not np.ndarray or X.dtype != np.float64:
            return np.asarray(whole(X))
        rows = np.ascontiguousarray(X)
        scores = np.zeros((len(rows), width), dtype=baseline.dtype, order="F")
        scores += baseline
        return np.asarray(finish(_through(trees, rows, scores, add)))

    return total


def _boosting_classifier(model: Any) -> Body | None:
    return _boosting(model, model.predict_proba, model._loss.predict_proba)


def _boosting_regressor(model: Any) -> Body | None:
    inverse = model._loss.link.inverse
    return _boosting(model, model.predict, lambda raw: inverse(raw.ravel()))


def _logistic(model: Any) -> Body:
    from scipy.special import expit
    from sklearn.utils.extmath import softmax

    weights, intercept = model.coef_.T, model.intercept_

    def two_classes(scores: np.ndarray) -> np.ndarray:
        probability = expit(scores[:, 0])
        return np.vstack([1 - probability, probability]).T

    def many_classes(scores: np.ndarray) -> np.ndarray:
        return np.asarray(softmax(scores, copy=False))

    finish = two_classes if len(model.classes_) <= 2 else many_classes

    def probabilities(X: np.ndarray) -> np.ndarray:
        if not _usual(X):
            return np.asarray(model.predict_proba(X))
        return finish(X @ weights + intercept)

    return probabilities


def _linear(model: Any) -> Body | None:
    if model.coef_.ndim != 1:
        return None
    weights, intercept = model.coef_, model.intercept_

    def predict(X: np.ndarray) -> np.ndarray:
        if not _usual(X):
            return np.asarray(model.predict(X))
        return np.asarray(X @ weights + intercept)

    return predict


def _standard_scaler(model: Any) -> Body | None:
    if not (model.with_mean and model.with_std):
        return None
    mean, scale = model.mean_, model.scale_
    return lambda X: (X - mean) / scale if _usual(X) else np.asarray(model.transform(X))


def _min_max_scaler(model: Any) -> Body | None:
    if model.clip:
        return None
    scale, shift = model.scale_, model.min_
    return lambda X: X * scale + shift if _usual(X) else np.asarray(model.transform(X))


_BODIES: Mapping[str, Mapping[str, Callable[[Any], Body | None]]] = {
    "predict_proba": {
        "sklearn.ensemble.ExtraTreesClassifier": _forest,
        "sklearn.ensemble.HistGradientBoostingClassifier": _boosting_classifier,
        "sklearn.ensemble.RandomForestClassifier": _forest,
        "sklearn.linear_model.LogisticRegression": _logistic,
    },
    "predict": {
        "sklearn.ensemble.ExtraTreesRegressor": _forest,
        "sklearn.ensemble.HistGradientBoostingRegressor": _boosting_regressor,
        "sklearn.ensemble.RandomForestRegressor": _forest,
        "sklearn.linear_model.ElasticNet": _linear,
        "sklearn.linear_model.Lasso": _linear,
        "sklearn.linear_model.LinearRegression": _linear,
        "sklearn.linear_model.Ridge": _linear,
    },
    "transform": {
        "sklearn.preprocessing.MinMaxScaler": _min_max_scaler,
        "sklearn.preprocessing.StandardScaler": _standard_scaler,
    },
}
