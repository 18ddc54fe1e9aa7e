"""The command `flask models check` tries and describes a model, lists concerns, and writes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from app.cli.commands import models_group

SEED = np.random.default_rng(0)
ORDERS = pd.DataFrame(
    {
        "amount": SEED.gamma(2, 30, 200).round(2) + 1,
        "items": SEED.integers(1, 9, 200),
        "city": SEED.choice(["Bern", "Zug"], 200),
    }
)
SIZE = np.where(ORDERS["amount"] > 50, "high", "low")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PLUMBLINE_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    ORDERS.assign(size=SIZE).to_csv("orders.csv", index=False)
    return tmp_path


def fitted(*parts: Any) -> Any:
    """A pipeline over the orders."""
    columns = make_column_transformer(*parts, remainder="passthrough")
    return make_pipeline(columns, LogisticRegression(max_iter=2000)).fit(ORDERS, SIZE)


def check(model: Any, *options: str) -> Result:
    joblib.dump(model, "model.joblib")
    return CliRunner().invoke(models_group, ["check", "model.joblib", *options])


def test_rows_that_the_model_would_fail_on_are_problems(here: Path) -> None:
    """The root of a negative number is NaN, and the signature accepts such a number."""
    model = fitted((FunctionTransformer(np.sqrt), ["amount"]), (OneHotEncoder(), ["city"]))
    result = check(model, "--data", "orders.csv", "--target", "size")
    assert result.exit_code == 1
    for heading in ("What it is", "What it takes", "What it answers", "What would go wrong in production"):
        assert heading in result.stdout
    assert "problem: amount = -1.0 makes the model fail (ValueError: Input X contains NaN" in result.stdout
    assert not (here / "store").exists()


def test_a_sound_model_has_hints_alone(here: Path) -> None:
    model = fitted((OneHotEncoder(handle_unknown="ignore"), ["city"]))
    result = check(model, "--data", "orders.csv", "--target", "size", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert (found["publishable"], found["problems"]) == (True, [])
    assert any("not refused: city" in hint for hint in found["hints"])
    assert found["manifest"]["metrics"]["sample_accuracy"] > 0.9


def test_columns_that_the_model_answers_without_are_named(here: Path) -> None:
    model = HistGradientBoostingRegressor(max_iter=3).fit(ORDERS[["amount", "items"]], ORDERS["items"])
    result = check(model, "--data", "orders.csv", "--json")
    (hint,) = (hint for hint in json.loads(result.stdout)["hints"] if "null" in hint)
    assert "amount, items" in hint and "--nullable amount" in hint


def test_what_cannot_be_published_says_why(here: Path) -> None:
    result = check({"no": "model"}, "--data", "orders.csv")
    assert result.exit_code == 1
    assert "Error: " in result.stderr
    found = json.loads(check({"no": "model"}, "--data", "orders.csv", "--json").stdout)
    assert found["publishable"] is False
    assert len(found["reason"]) > 20


def test_warnings_of_publishing_are_hints(here: Path) -> None:
    """The label is among the columns."""
    model = make_pipeline(FunctionTransformer(numbers_alone), LogisticRegression(max_iter=2000))
    model.fit(ORDERS.assign(size=SIZE), SIZE)
    result = check(model, "--data", "orders.csv", "--json")
    assert any("'size' has the same values" in hint for hint in json.loads(result.stdout)["hints"])


def numbers_alone(X: pd.DataFrame) -> Any:
    return X[["amount", "items"]]
