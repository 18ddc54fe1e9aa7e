"""How rows become what an estimator takes: the container that it was fitted on, with the recorded dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.manifest import Manifest


def estimator_input(manifest: Manifest, rows: np.ndarray) -> Any:
    """The rows as the estimator takes them: the array itself, or a DataFrame with the recorded dtypes.

    A missing value is NaN, as pandas reads it; scikit-learn's encoders take None for yet another category.
    """
    if rows.dtype == object:
        rows = np.where(rows == np.array(None), np.nan, rows)
    if not manifest.frame:
        return rows
    import pandas as pd  # only models fitted on mixed, named columns need it

    series = {}
    for j, (column, (name, dtype)) in enumerate(zip(manifest.signature.columns, manifest.frame, strict=True)):
        cells: Any = rows[:, j]
        if dtype == "category":
            series[name] = pd.Categorical(cells, categories=list(column.values or ()))
        elif dtype.startswith("datetime64"):
            series[name] = pd.to_datetime(cells.tolist(), format="%Y-%m-%d").astype(dtype)
        else:
            series[name] = pd.array(cells.tolist(), dtype=dtype)
    return pd.DataFrame(series, copy=False)
