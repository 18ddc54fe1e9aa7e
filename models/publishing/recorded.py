"""The columns that a model recorded when it was fitted, and their selection from a sample."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from models.errors import PublishError

#: Names that libraries make up for columns without names: x0, f0, Column_0, 0.
_MADE_UP = re.compile(r"(Column_|feature_|[xf])?\d+")


def recorded_names(model: Any) -> tuple[str, ...] | None:
    """Return the names of the columns that a model was fitted on; None if it recorded none."""
    for attribute in (
        "feature_names_in_",
        "feature_name_",
        "feature_names_",
        "feature_name",
        "feature_names",
    ):
        try:
            value = getattr(model, attribute, None)
            value = value() if callable(value) else value
        except Exception:  # a property may raise anything, for example if the model is not fitted
            continue
        if isinstance(value, (list, tuple, np.ndarray)) and len(value):
            names = tuple(map(str, value))
            if attribute == "feature_names_in_" or not all(map(_MADE_UP.fullmatch, names)):
                return names
    return None


def fitted_width(model: Any) -> int:
    """Return the number of columns that the model reports; 0 if it reports none."""
    width = getattr(model, "n_features_in_", 0)
    return int(width) if isinstance(width, (int, np.integer)) else 0


def select(X: Any, names: Sequence[str], reason: str) -> Any:
    """Return the named columns of a DataFrame, in this order.

    LightGBM records ``a_b`` for a column called ``a b``.
    """
    own = {str(name): name for name in X.columns}
    known = {**{name.replace(" ", "_"): column for name, column in own.items()}, **own}
    missing = [name for name in names if name not in known]
    if missing:
        raise PublishError(
            f"the sample lacks columns that {reason}: {listed(missing)}; it has {listed(list(own))}"
        )
    return X[[known[name] for name in names]]


def listed(names: Sequence[str]) -> str:
    """Return names for a message: at most twenty, and how many there are."""
    return ", ".join(names[:20]) + (f" .. ({len(names)} in all)" if len(names) > 20 else "")
