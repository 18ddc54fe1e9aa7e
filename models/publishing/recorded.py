"""What a model recorded of its columns when it was fitted, and the same columns of a sample."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from models.errors import PublishError

#: Names that libraries make up for columns without names: x0, f0, Column_0, 0.
_MADE_UP = re.compile(r"(Column_|feature_|[xf])?\d+")


def recorded_names(model: Any) -> tuple[str, ...] | None:
    """The names of its columns that a model recorded when it was fitted, or None."""
    for attribute in (
        "feature_names_in_",
        "feature_name_",
        "feature_names_",
        "feature_name",
        "feature_names",
    ):
        try:
            found = getattr(model, attribute, None)
            found = found() if callable(found) else found
        except Exception:  # a property of foreign code, such as one of a model that is not fitted
            continue
        if isinstance(found, (list, tuple, np.ndarray)) and len(found):
            names = tuple(map(str, found))
            if attribute == "feature_names_in_" or not all(map(_MADE_UP.fullmatch, names)):
                return names
    return None


def fitted_width(model: Any) -> int:
    """The number of columns that the model says it takes; 0 when it does not say."""
    found = getattr(model, "n_features_in_", 0)
    return int(found) if isinstance(found, (int, np.integer)) else 0


def select(X: Any, names: Sequence[str], why: str) -> Any:
    """The named columns of a DataFrame, in this order. LightGBM records ``a_b`` for a column that is called
    ``a b``.
    """
    own = {str(name): name for name in X.columns}
    known = {**{name.replace(" ", "_"): column for name, column in own.items()}, **own}
    missing = [name for name in names if name not in known]
    if missing:
        raise PublishError(
            f"the sample lacks columns that {why}: {listed(missing)}; it has {listed(list(own))}"
        )
    return X[[known[name] for name in names]]


def listed(names: Sequence[str]) -> str:
    """Names in a message, the first twenty of many."""
    return ", ".join(names[:20]) + (f" .. ({len(names)} in all)" if len(names) > 20 else "")
