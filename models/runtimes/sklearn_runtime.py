"""Serves fitted scikit-learn estimators and pipelines, pickled by joblib."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.exceptions import InconsistentVersionWarning

from models.errors import LoadError
from models.manifest import Artifact, Manifest
from models.outputs import Outputs
from models.runtimes.calls import model_call
from models.runtimes.estimator_parts import prepare_for_serving
from models.runtimes.pickled import load_object

LIBRARIES = ("scikit-learn", "numpy", "scipy", "joblib")


class SklearnRuntime:
    """Calls ``predict``, and ``predict_proba`` when the signature has probabilities.

    A model whose manifest has a ``frame`` gets one DataFrame a call, built by columns; any other gets the ndarray,
    with the feature names taken off the loaded copy: they were checked already when the request was read.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self.model: Any = None

    def load(self) -> None:
        """Unpickle the estimator from verified bytes and fit it for serving; raises LoadError."""
        with warnings.catch_warnings():
            # The manifest's library versions are compared by the loader, which can say more than this warning.
            warnings.simplefilter("ignore", InconsistentVersionWarning)
            self.model = load_object(self.artifact)
        if not callable(getattr(self.model, "predict", None)):
            raise LoadError("the unpickled object has no predict()")
        prepare_for_serving(self.model, keep_names=bool(self.artifact.manifest.frame))

    def predict(self, rows: np.ndarray, parameters: Mapping[str, Any]) -> Outputs:
        """Raises PredictError when the estimator does."""
        manifest = self.artifact.manifest
        with model_call(manifest):
            return call(self.model, estimator_input(manifest, rows), manifest.signature.output.probability)

    def close(self) -> None:
        """Drop the estimator."""
        self.model = None


def call(model: Any, X: Any, probability: bool) -> Outputs:
    """X : what the estimator was fitted on, array or DataFrame of n_rows rows."""
    values = np.asarray(model.predict(X))
    return Outputs(values, np.asarray(model.predict_proba(X), dtype=np.float64) if probability else None)


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
