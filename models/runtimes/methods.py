"""Which method of an estimator answers, and how it is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from models.errors import PublishError

#: Without another word, the first that an estimator has.
METHODS = ("predict", "transform", "score_samples", "decision_function", "predict_proba")

#: Additions to a reply: methods, and "std", which ``predict`` returns on demand.
SCORES = ("decision_function", "score_samples", "transform", "std")

#: Class -> the argument of its methods that says how many threads they use.
_THREADS = {("catboost.core", "CatBoost"): "thread_count", ("lightgbm.basic", "Booster"): "num_threads"}

#: Rows in the container that the estimator takes, to what it returns.
Method = Callable[[Any], Any]


def method_of(model: Any, said: str | None = None) -> str:
    """The method that answers; raises PublishError when the object has none, or not the one that was said."""
    if said is not None and said not in METHODS:
        raise PublishError(f"--method {said!r}: use one of {', '.join(METHODS)}")
    has = [name for name in METHODS if callable(getattr(model, name, None))]
    if said in has or (said is None and has):
        return said or has[0]
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    others = f"it has {', '.join(has)}" if has else "publish the fitted estimator or pipeline itself"
    raise PublishError(f"{kind} has no {said or METHODS[0]}(); {others}")


def asked(model: Any, method: str, arguments: Mapping[str, Any] | None = None) -> Method:
    """How the method is called with rows alone, in one thread: a server runs one process a core."""
    call: Method = _xgboost(model, method) or getattr(model, method)
    arguments = {**_one_thread(model, method), **(arguments or {})}
    return partial(call, **arguments) if arguments else call


def last_step(model: Any) -> Any:
    """The estimator at the end of a pipeline; any other is its own."""
    return getattr(model, "steps", [(None, model)])[-1][1]


def _one_thread(model: Any, method: str) -> dict[str, int]:
    """The argument that keeps a call in one thread, where an estimator cannot be told once for all. A
    pipeline passes it on.
    """
    kind = type(last_step(model))
    for base in kind.__mro__:
        if name := _THREADS.get((base.__module__, base.__name__)):
            return {name: 1} if method in ("predict", "predict_proba") else {}
    return {}


def score_of(model: Any, name: str) -> Method:
    """What gives a score; raises PublishError when the object has nothing that does."""
    if name not in SCORES:
        raise PublishError(f"--with {name!r}: use one of {', '.join(SCORES)}")
    if name == "std":
        return lambda X: model.predict(X, return_std=True)[1]
    return asked(model, method_of(model, name))


def _xgboost(model: Any, method: str) -> Method | None:
    """A Booster of XGBoost takes its own container; its feature names are those of its training."""
    kind = type(model)
    if (kind.__module__, kind.__name__, method) != ("xgboost.core", "Booster", "predict"):
        return None
    from xgboost import DMatrix  # there, or the model could not have been unpickled

    def predict(X: Any, **arguments: Any) -> Any:
        names = None if hasattr(X, "columns") else model.feature_names
        matrix = DMatrix(X, feature_names=names, enable_categorical=True, nthread=1)
        return model.predict(matrix, **arguments)

    return predict
