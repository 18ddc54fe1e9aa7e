"""The estimators inside an estimator, and their preparation for serving."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


def prepare_for_serving(model: Any, *, keep_names: bool) -> None:
    """Set ``n_jobs`` of the estimator and its parts to 1 and ``copy`` to True, and remove feature names
    unless needed.

    A server runs one process for each core; threads of its own make a forest slower and less predictable. A
    part that works in place would change the rows of the request.
    """
    _one_thread(model)
    for part in estimator_parts(model):
        own = vars(part)
        if "n_jobs" in own:  # None means one job in scikit-learn, but all cores in LightGBM and XGBoost
            part.n_jobs = 1
        if getattr(part, "copy", None) is False:
            part.copy = True
        if not keep_names and "feature_names_in_" in own:
            del part.feature_names_in_
        _one_thread(own.get("_Booster"))


class FeatureNames:
    """The feature names of an estimator and its parts, to be restored after they were removed for serving."""

    def __init__(self, model: Any) -> None:
        parts = [(part, vars(part)) for part in estimator_parts(model)]
        self._names = [(part, own["feature_names_in_"]) for part, own in parts if "feature_names_in_" in own]

    def restore(self) -> None:
        """Restore all names."""
        for part, names in self._names:
            part.feature_names_in_ = names

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Restore the removed names while this context is open, and remove them again at its end."""
        removed = [part for part, _ in self._names if "feature_names_in_" not in vars(part)]
        self.restore()
        try:
            yield
        finally:
            for part in removed:
                del part.feature_names_in_


def _one_thread(booster: Any) -> None:
    """Limit a Booster of XGBoost to one thread.

    It has its own number of threads, also inside an estimator; other libraries get the number with each call.
    """
    if (type(booster).__module__, type(booster).__name__) == ("xgboost.core", "Booster"):
        booster.set_param({"nthread": 1})


def estimator_parts(value: Any, seen: set[int] | None = None) -> Iterator[Any]:
    """Yield the estimator and all estimators inside it, through lists, tuples, dicts and arrays of objects.

    A parameter that is a class is not a part: it belongs to the whole process.
    """
    seen = set() if seen is None else seen
    if id(value) in seen or isinstance(value, type):
        return
    seen.add(id(value))
    if isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.dtype == object):
        inner: Any = value
    elif isinstance(value, dict):
        inner = value.values()
    elif callable(getattr(value, "get_params", None)) and hasattr(value, "__dict__"):
        yield value
        inner = list(vars(value).values())
    else:
        return
    for item in inner:
        yield from estimator_parts(item, seen)
