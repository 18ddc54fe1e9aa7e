"""The demo model "iris": the species of an iris, in two versions of a small classifier that can be compared.

Version 1 is a scaled logistic regression (tag ``1.0.0``), version 2 a random forest (tag ``2.0.0``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models.publishing import publish

if TYPE_CHECKING:
    from models.store import Store

NAME = "iris"
SEED = 6
FEATURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
ABOUT = "Species of an iris from four lengths in cm; the classes 0, 1, 2 are setosa, versicolor, virginica"


def data() -> tuple[pd.DataFrame, np.ndarray]:
    """Return the measurements, float64 (150, 4) in cm, and the species, int (150,): 50 of each of 0, 1 and
    2.
    """
    bunch = load_iris()
    return pd.DataFrame(bunch.data, columns=list(FEATURES)), bunch.target


def split(X: pd.DataFrame, y: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray, np.ndarray]:
    """Return (X_train, X_test, y_train, y_test): 105 and 45 rows with equal shares of the classes."""
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=SEED)
    return X_train, X_test, y_train, y_test


def train_logistic(X: pd.DataFrame, y: np.ndarray) -> ClassifierMixin:
    """Fit version 1; X of shape (n_rows, 4) in cm, y of shape (n_rows,)."""
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)


def train_forest(X: pd.DataFrame, y: np.ndarray) -> ClassifierMixin:
    """Fit version 2; X of shape (n_rows, 4) in cm, y of shape (n_rows,)."""
    return RandomForestClassifier(n_estimators=100, random_state=SEED).fit(X, y)


def measure(model: ClassifierMixin, X: pd.DataFrame, y: np.ndarray) -> dict[str, float]:
    """Return accuracy (share of right labels) and log loss (nats) on rows that the model has not seen."""
    return {
        "accuracy": float(accuracy_score(y, model.predict(X))),
        "log_loss": float(log_loss(y, model.predict_proba(X))),
    }


def publish_into(store: Store) -> None:
    """Publish both versions as fitted on the training part, so that the metrics belong to these artifacts."""
    X_train, X_test, y_train, y_test = split(*data())
    # The order of the data set makes its well-known first row the example.
    sample = X_train.sort_index()
    versions = (
        ("1.0.0", train_logistic, "scaled logistic regression"),
        ("2.0.0", train_forest, "random forest of 100 trees"),
    )
    for tag, train, method in versions:
        model = train(X_train, y_train)
        publish(
            store,
            NAME,
            model,
            sample,
            metrics=measure(model, X_test, y_test),
            description=f"{ABOUT} ({method})",
            tags=(tag,),
        )
