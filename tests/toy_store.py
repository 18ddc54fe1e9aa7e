"""A store of small models of every kind, and the estimators that were published into it."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from models.errors import Fault, InputError
from models.publishing import publish
from models.signature import Column, Output, Signature
from models.store import Store

IRIS = ("sepal_length", "sepal_width", "petal_length", "petal_width")

#: What a failing model says; no client may see it.
SECRET = "column 7 of customers.csv"


class Moody:
    """A model whose input decides whether it answers, answers wrongly or raises."""

    signature = Signature(
        columns=(
            Column(
                "mood",
                "category",
                values=("fine", "raise", "exit", "nan", "short", "refuse", "object"),
            ),
        ),
        output=Output("number"),
    )

    def predict(self, rows: np.ndarray) -> Any:
        moods = rows[:, 0].tolist()
        if "raise" in moods:
            raise ValueError(SECRET)
        if "exit" in moods:
            raise SystemExit(SECRET)
        if "refuse" in moods:
            raise InputError([Fault(("mood",), "not today", "another mood", "refuse")])
        if "object" in moods:
            return np.array([object()] * len(rows), dtype=object)
        values = np.array([math.nan if mood == "nan" else 1.0 for mood in moods])
        return values[:-1] if "short" in moods else values


class Forecast:
    """A model with records, a bare reply, and parameters with and without a default."""

    signature = Signature(
        columns=(Column("place", "string", min_length=1, max_length=10),),
        parameters=(
            Column("days", "int", default=1, minimum=1, maximum=30),
            Column("unit", "category", values=("C", "F"), example="C"),
        ),
        output=Output(
            "records",
            columns=(Column("day", "int"), Column("degrees"), Column("model_version", "string")),
            version_column="model_version",
        ),
        bare=True,
    )

    def predict(self, rows: np.ndarray, days: int, unit: str) -> list[list[dict[str, Any]]]:
        wrong = {
            "nowhere": {"degrees": math.nan},
            "endless": {"degrees": math.inf},
            "secret": {"degrees": SECRET},
        }
        return [
            [{"day": day, "degrees": 0.1 * day, **wrong.get(place, {})} for day in range(1, days + 1)]
            for place in rows[:, 0].tolist()
        ]


class OddNames:
    """A model that sums columns with names of the envelope, of marshmallow or of Python."""

    names = ("Sepal.Length", "petal width (cm)", "Meta", "features", "inputs", "class", "parameters")
    signature = Signature(columns=tuple(map(Column, names)), output=Output("number"))

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return rows @ np.arange(1.0, 8.0)


@cache
def iris_data() -> tuple[pd.DataFrame, np.ndarray]:
    """Return 150 flowers by name, and their species."""
    found = load_iris()
    return pd.DataFrame(found.data, columns=list(IRIS)), found.target


@cache
def iris_models() -> tuple[Any, Any]:
    """Return versions 1 and 2 of iris."""
    X, y = iris_data()
    linear = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    return linear, RandomForestClassifier(10, random_state=0).fit(X, y)


@cache
def unnamed_model() -> LinearRegression:
    """Return a model that was fitted on arrays of three columns."""
    X = np.random.default_rng(1).normal(size=(60, 3))
    return LinearRegression().fit(X, X @ np.array([1.0, 10.0, 100.0]) + 0.1)


@cache
def shop_data() -> pd.DataFrame:
    """Return orders with columns of several types."""
    rng = np.random.default_rng(2)
    return pd.DataFrame(
        {
            "amount": rng.gamma(2.0, 30.0, 200).round(2),
            "channel": rng.choice(["web", "shop", "phone"], 200),
            "items": rng.integers(1, 9, 200),
            "gift": rng.random(200) < 0.2,
        }
    )


@cache
def shop_model() -> Any:
    """Return a pipeline over named columns of several types, whose labels are text."""
    X = shop_data()
    y = np.where((X["amount"] > 50) ^ X["gift"], "return", "keep")
    columns = make_column_transformer((OneHotEncoder(), ["channel"]), remainder="passthrough")
    return make_pipeline(columns, LogisticRegression(max_iter=5000)).fit(X, y)


def publish_toys(store: Store) -> Store:
    """Publish every toy: iris 1 and 2, unnamed, shop, forecast, odd and moody."""
    for tag, model in zip(("1.0.0", "2.0.0"), iris_models(), strict=True):
        publish(
            store, "iris", model, iris_data()[0], tags=(tag,), metrics={"accuracy": 0.95}, description="Iris"
        )
    publish(store, "unnamed", unnamed_model(), np.random.default_rng(3).normal(size=(40, 3)))
    publish(store, "shop", shop_model(), shop_data())
    publish(store, "forecast", Forecast(), [["here"], ["there"]], parameters={"days": 2, "unit": "C"})
    publish(store, "odd", OddNames(), np.arange(14.0).reshape(2, 7))
    # A sample makes golden rows with every value of a category; 32 given rows are taken as they are.
    publish(store, "moody", Moody(), [["fine"]] * 32)
    return store
