"""What is served and asked: the three models, the rows of a request, and the answers that every arm must give.

Each model is trained once, from bundled data and a fixed seed, and kept as a joblib file under ``.cache/models``.
The file's name carries a digest of this recipe and of the library versions, so a stale one is never used.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

CACHE = Path(__file__).parent / ".cache"
SEED = 20
ROWS_A_REQUEST = (1, 16, 256)
REQUESTS = 64
PARITY_ROWS = 200
SIGNIFICANT_DIGITS = 4

Rows = list[list[float]]


@dataclass(frozen=True, slots=True)
class Model:
    """One benchmark model: ``data`` gives X of shape (n_rows, n_features) and y of shape (n_rows,)."""

    name: str
    title: str
    n_features: int
    data: Callable[..., Any]
    make: Callable[[], Any]


MODELS: Mapping[str, Model] = {
    model.name: model
    for model in (
        Model(
            "lr",
            "scaled logistic regression, 4 features",
            4,
            load_iris,
            lambda: make_pipeline(StandardScaler(), LogisticRegression()),
        ),
        Model(
            "hgb",
            "histogram gradient boosting, 30 features",
            30,
            load_breast_cancer,
            lambda: HistGradientBoostingClassifier(random_state=SEED),
        ),
        Model(
            "rf",
            "random forest of 100 trees, 4 features",
            4,
            load_iris,
            lambda: RandomForestClassifier(n_estimators=100, random_state=SEED),
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Parity:
    """Fixed rows, and what the estimator answers for them when it is called directly."""

    rows: Rows
    labels: list[int]
    probabilities: list[list[float]]


def artifact(name: str) -> Path:
    """The model's joblib file; trains it when it is not there yet."""
    path = CACHE / "models" / f"{name}-{_recipe()}.joblib"
    if not path.exists():
        model = MODELS[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_suffix(f".{os.getpid()}")
        with threadpool_limits(1):
            joblib.dump(model.make().fit(*model.data(return_X_y=True)), staged)
        staged.replace(path)
    return path


def sample(name: str) -> Path:
    """A CSV file of training rows with a header, for servers that want to see data when a model is registered."""
    path = CACHE / "models" / f"{name}-{_recipe()}.csv"
    if not path.exists():
        X, _ = MODELS[name].data(return_X_y=True)
        header = ",".join(f"x{i:02}" for i in range(X.shape[1]))
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_suffix(f".{os.getpid()}")
        np.savetxt(staged, X, fmt="%.6g", delimiter=",", header=header, comments="")
        staged.replace(path)
    return path


def rows(name: str, count: int, seed: int = SEED) -> Rows:
    """New rows near real ones, with few digits, as a client would send them: the same for the same seed."""
    X, _ = MODELS[name].data(return_X_y=True)
    rng = np.random.default_rng(seed)
    near = X[rng.integers(len(X), size=count)] * rng.uniform(0.9, 1.1, size=(count, X.shape[1]))
    return [[float(f"{cell:.{SIGNIFICANT_DIGITS}g}") for cell in row] for row in near]


def requests(name: str, n_rows: int, count: int = REQUESTS) -> list[Rows]:
    """Different requests of ``n_rows`` rows each, so that no server can answer from a cache of one."""
    drawn = rows(name, n_rows * count, seed=SEED + n_rows)
    return [drawn[i : i + n_rows] for i in range(0, len(drawn), n_rows)]


@cache
def parity(name: str) -> Parity:
    """The fixed rows, answered one by one by the estimator itself."""
    estimator = joblib.load(artifact(name))
    fixed = rows(name, PARITY_ROWS, seed=SEED - 1)
    with threadpool_limits(1):
        answers = [(estimator.predict([row])[0], estimator.predict_proba([row])[0]) for row in fixed]
    labels = [int(label) for label, _ in answers]
    return Parity(fixed, labels, [probability.tolist() for _, probability in answers])


@cache
def _recipe() -> str:
    made_of = [Path(__file__).read_text(encoding="utf-8")]
    made_of += [version(library) for library in ("scikit-learn", "numpy", "scipy", "joblib")]
    return hashlib.sha256("\n".join(made_of).encode()).hexdigest()[:12]
