"""The command `flask models publish` for several targets, other methods, and scores."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from click.testing import Result
from flask import Flask
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from app.cli.commands import COMMANDS

Run = Callable[..., Result]

X = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 3)).round(3), columns=["a", "b", "c"])
NUMBERS = pd.DataFrame({"up": X["a"] * 2, "down": -X["b"]})
LABELS = pd.DataFrame({"side": np.where(X["a"] > 0, "007", "008"), "sign": np.where(X["b"] > 0, "1", "2")})


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A function that publishes an estimator as ``toy``."""
    monkeypatch.setenv("PLUMBLINE_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    app = Flask("cli")
    for command in COMMANDS:
        app.cli.add_command(command)

    def publish(model: BaseEstimator, data: pd.DataFrame, *words: str) -> Result:
        joblib.dump(model, "toy.joblib")
        data.to_csv("data.csv", index=False)
        args = ["models", "publish", "toy", "toy.joblib", "--data", "data.csv", *words]
        return app.test_cli_runner().invoke(args=args)

    return publish


def output_of(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_several_targets_name_the_numbers_of_a_vector(run: Run) -> None:
    model = LinearRegression().fit(X, NUMBERS)
    found = output_of(
        run(model, X.join(NUMBERS), "--target", "up", "--target", "down", "--metric", "r2=1", "--json")
    )
    assert found["signature"]["output"]["components"] == ["up", "down"]
    assert [column["name"] for column in found["signature"]["columns"]] == ["a", "b", "c"]
    assert found["metrics"]["sample_mean_absolute_error"] == pytest.approx(0, abs=1e-9)
    assert "vector of 2: up, down" in run(model, X.join(NUMBERS), "--target", "up", "--target", "down").output


def test_several_targets_name_outputs_and_text_of_digits_stays_text(run: Run) -> None:
    model = DecisionTreeClassifier(random_state=0).fit(X, LABELS)
    found = output_of(run(model, X.join(LABELS), "--target", "side", "--target", "sign", "--json"))
    outputs = found["signature"]["output"]["outputs"]
    assert [(one["name"], one["classes"]) for one in outputs] == [
        ("side", ["007", "008"]),
        ("sign", ["1", "2"]),
    ]
    names = ("sample_accuracy", "sample_accuracy_side", "sample_accuracy_sign")
    assert [found["metrics"][name] for name in names] == [1.0, 1.0, 1.0]
    said = run(model, X.join(LABELS), "--target", "side", "--target", "sign").output
    assert "side: class, one of 007, 008; sign: class, one of 1, 2 with probabilities" in said


def test_a_method_and_scores_are_recorded(run: Run) -> None:
    found = output_of(run(PCA(2).fit(X), X, "--json"))
    assert found["signature"]["output"]["method"] == "transform"
    svc = SVC().fit(X, LABELS["side"])
    found = output_of(run(svc, X, "--with", "decision_function", "--json"))
    assert set(found["example"]["response"]) == {"prediction", "scores"}
    assert "number, from decision_function()" in run(svc, X, "--method", "decision_function").output


def test_what_is_wrong_is_said_in_a_line(run: Run) -> None:
    model = LinearRegression().fit(X, NUMBERS)
    wrong = {
        ("--target", "up", "--target", "c"): "lacks c",
        ("--argument", "quantiles"): "write NAME=JSON",
        ("--argument", "quantiles=[0.1"): "write NAME=JSON",
        ("--argument", "quantiles=[0.1]"): "unexpected keyword argument 'quantiles'",
        ("--method", "transform"): "has no transform(); it has predict",
        ("--with", "std"): "return_std",
    }
    for words, why in wrong.items():
        table = X[["a", "b"]].join(NUMBERS) if "c" in words else X
        result = run(model, table, *words)
        assert result.exit_code != 0
        assert why in result.stderr, (words, result.stderr)
