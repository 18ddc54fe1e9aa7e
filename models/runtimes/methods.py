"""The method of an estimator that answers, and how it is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from models.errors import PublishError

#: The methods that can answer. By default, the first that an estimator has is used.
METHODS = ("predict", "transform", "score_samples", "decision_function", "predict_proba")

#: Additions to a reply: methods, and "std", which ``predict`` returns on demand.
SCORES = ("decision_function", "score_samples", "transform", "std")

#: Class -> the argument of its methods that sets their number of threads.
_THREADS = {("catboost.core", "CatBoost"): "thread_count", ("lightgbm.basic", "Booster"): "num_threads"}

#: A function from rows in the estimator's container to what the estimator returns.
Method = Callable[[Any], Any]


def method_of(model: Any, method: str | None = None) -> str:
    """Return the method that answers; raises PublishError if the object has none, or lacks the one that was
    chosen.
    """
    if method is not None and method not in METHODS:
        raise PublishError(f"--method {method!r}: use one of {', '.join(METHODS)}")
    available = [name for name in METHODS if callable(getattr(model, name, None))]
    if method in available or (method is None and available):
        return method or available[0]
    class_name = f"{type(model).__module__}.{type(model).__qualname__}"
    others = (
        f"it has {', '.join(available)}" if available else "publish the fitted estimator or pipeline itself"
    )
    raise PublishError(f"{class_name} has no {method or METHODS[0]}(); {others}")


def bound_method(model: Any, method: str, arguments: Mapping[str, Any] | None = None) -> Method:
    """Return a function that calls the method with rows alone and in one thread: a server runs one process
    per core.
    """
    call: Method = _xgboost(model, method) or getattr(model, method)
    arguments = {**_one_thread(model, method), **(arguments or {})}
    return partial(call, **arguments) if arguments else call


def last_step(model: Any) -> Any:
    """Return the estimator at the end of a pipeline, or any other estimator itself."""
    return getattr(model, "steps", [(None, model)])[-1][1]


def _one_thread(model: Any, method: str) -> dict[str, int]:
    """Return the argument that limits a call to one thread, for estimators that have no setting for it.

    A pipeline passes it on.
    """
    kind = type(last_step(model))
    for base in kind.__mro__:
        if name := _THREADS.get((base.__module__, base.__name__)):
            return {name: 1} if method in ("predict", "predict_proba") else {}
    return {}


def score_of(model: Any, name: str) -> Method:
    """Return a function that computes a score; raises PublishError if the object cannot."""
    if name not in SCORES:
        raise PublishError(f"--with {name!r}: use one of {', '.join(SCORES)}")
    if name == "std":
        return lambda X: model.predict(X, return_std=True)[1]
    return bound_method(model, method_of(model, name))


def _xgboost(model: Any, method: str) -> Method | None:
    """Return the method of a Booster of XGBoost, which takes its own container; None for any other model.

    The feature names are those of its training.
    """
    kind = type(model)
    if (kind.__module__, kind.__name__, method) != ("xgboost.core", "Booster", "predict"):
        return None
    from xgboost import DMatrix  # installed, or the model could not have been unpickled

    def predict(X: Any, **arguments: Any) -> Any:
        names = None if hasattr(X, "columns") else model.feature_names
        matrix = DMatrix(X, feature_names=names, enable_categorical=True, nthread=1)
        return model.predict(matrix, **arguments)

    return predict
