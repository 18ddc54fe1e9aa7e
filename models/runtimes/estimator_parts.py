"""Which estimators are inside an estimator, and what each of them must give up to be served."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np


def prepare_for_serving(model: Any, *, keep_names: bool) -> None:
    """Set every ``n_jobs`` of the estimator and its parts to 1 and every ``copy`` to True, and forget feature names unless
    they are needed.

    A server runs one process a core; threads of its own make a forest slower and less predictable. A part that works in
    place would change the rows of the request.
    """
    for part in estimator_parts(model):
        if getattr(part, "n_jobs", None) is not None:
            part.n_jobs = 1
        if getattr(part, "copy", None) is False:
            part.copy = True
        if not keep_names and "feature_names_in_" in vars(part):
            del part.feature_names_in_


def estimator_parts(value: Any, seen: set[int] | None = None) -> Iterator[Any]:
    """The estimator and all estimators inside it, through lists, tuples, dicts and arrays of objects."""
    seen = set() if seen is None else seen
    if id(value) in seen:
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
