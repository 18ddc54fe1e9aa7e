"""The comparison of two versions is the same in tables, as JSON, on a page and over HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from app.cli.commands import models_group
from app.cli.compare import Members
from models.publishing import publish
from models.store import Store
from tests.app.api.asking import answer, problem
from tests.conftest import MakeApp

RNG = np.random.default_rng(3)
X = RNG.normal(size=(200, 2))
Y = X[:, 0] + X[:, 1] > 0
#: Text of digits, which must not be read as numbers.
SIDES = pd.DataFrame({"east": np.where(X[:, 0] > 0, "01", "02"), "north": np.where(X[:, 1] > 0, "1", "2")})


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 1 looks at one column, version 2 at both; 3 is another kind of model."""
    store = Store(tmp_path_factory.mktemp("compare") / "store")
    blind = np.column_stack([X[:, 0], np.zeros(200)])
    publish(store, "toy", LogisticRegression().fit(blind, Y), X, metrics={"auc": 0.8})
    publish(store, "toy", LogisticRegression().fit(X, Y), X, metrics={"auc": 0.99})
    publish(store, "toy", LinearRegression().fit(X, X[:, 0]), X)
    for depth in (1, None):
        tree = DecisionTreeClassifier(max_depth=depth, random_state=0).fit(X, SIDES)
        publish(store, "sides", tree, X, SIDES)
    return store.path


@pytest.fixture(autouse=True)
def environment(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMBLINE_STORE", str(path))


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(models_group, ["compare", *arguments])
    assert result.exit_code == code, result.output
    return result


def write_csv(path: Path) -> str:
    file = path / "rows.csv"
    lines = [f"{a},{b},{str(y).lower()}" for (a, b), y in zip(X.tolist(), Y.tolist(), strict=True)]
    file.write_text("\n".join(["x0,x1,bought", *lines]))
    return str(file)


def test_golden_rows_are_asked_by_default() -> None:
    found = json.loads(run("toy:1", "toy:2", "--json").stdout)
    assert found["versions"] == [1, 2]
    assert found["answers"]["rows"] == 64
    assert 0 < found["answers"]["changed_share"] < 0.5
    assert found["metadata"]["metrics"] == {"auc": [0.8, 0.99]}


def test_tables_say_what_changes_where_and_who_is_right(tmp_path: Path) -> None:
    shown = run("toy:1", "toy:2", "--data", write_csv(tmp_path), "--target", "bought").stdout
    assert "Answers to 200 rows" in shown
    assert "Rows that differ most" in shown and "Where predictions change most" in shown
    assert "accuracy" in shown and "95 % interval" in shown and "clear" in shown


def test_of_several_outputs_each_has_its_target(tmp_path: Path) -> None:
    table, lines = tmp_path / "rows.csv", tmp_path / "rows.jsonl"
    frame = pd.DataFrame(X, columns=["x0", "x1"]).join(SIDES)
    frame.to_csv(table, index=False)
    frame.to_json(lines, orient="records", lines=True)
    targets = ("--target", "east", "--target", "north")
    for file in (table, lines):
        found = json.loads(run("sides:1", "sides:2", "--data", str(file), *targets, "--json").stdout)
        assert found["answers"]["outputs"].keys() == {"east", "north"}
        one, other = (score["value"] for score in found["truth"]["scores"])
        assert one < 1.0 == other
    said = run("sides:1", "sides:2", "--data", str(table), "--target", "east", code=2).stderr
    assert "in their order: --target east --target north" in said
    said = run("toy:1", "toy:2", "--data", str(table), *targets, code=2).stderr
    assert "2 targets are given, but the versions answer 1 values per row" in said


def test_rows_come_as_lines_of_json_too(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    rows: list[Any] = [[1, 2], {"features": [1, -2]}, {"features": {"x0": -1, "x1": 0}}]
    file.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    assert json.loads(run("toy:1", "toy:2", "--data", str(file), "--json").stdout)["answers"]["rows"] == 3
    file.write_text(json.dumps({"x0": 1, "x1": 2, "y": True}))
    found = json.loads(run("toy:1", "toy:2", "--data", str(file), "--target", "y", "--json").stdout)
    assert found["truth"]["rows"] == 1


def test_the_page_stands_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    run("toy:1", "toy:2", "--data", write_csv(tmp_path), "--target", "bought", "--html", str(page))
    text = page.read_text()
    assert text.count("<rect") == 20
    assert "http://" not in text and "https://" not in text and "<script" not in text
    assert "of the predictions change" in text and "accuracy" in text


def test_the_page_says_what_the_table_says_of_the_difference(tmp_path: Path) -> None:
    """A version and itself do not differ; members of the data may be named like methods of dict."""
    page = tmp_path / "page.html"
    data = write_csv(tmp_path)
    for other, clear in (("toy:1", False), ("toy:2", None)):
        shown = run("toy:1", other, "--data", data, "--target", "bought", "--html", str(page)).stdout
        verdict = "not clear" not in shown
        assert clear is None or verdict is clear
        assert ("not clear: it holds 0" not in page.read_text()) is verdict


def test_a_page_shows_members_that_are_called_as_methods_of_a_dict() -> None:
    environment = Members(autoescape=True)
    shown = environment.from_string("{{ it.clear }} {{ it.values }} {{ it.items }} {{ it.other }}")
    assert shown.render(it={"clear": False, "values": 1, "items": 2}) == "False 1 2 "


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["toy:1", "toy:3"], "cannot be compared: one answers class, the other number"),
        (["toy:1", "toy:9"], "no version or tag"),
        (["toy:1", "toy"], "name a version of it"),
        (["toy:1", "toy:2", "--target", "y"], "--target names a column of --data"),
        (["toy:1", "toy:2", "--data", "nothing.csv"], "no such file"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_reason(arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(models_group, ["compare", *arguments])
    assert result.exit_code != 0
    assert says in result.stderr.lower() or says in result.stderr


def test_a_row_that_does_not_fit_is_named(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('[1, 2]\n[1, "two"]\n')
    assert "rows.jsonl.1.x1: text is not allowed" in run("toy:1", "toy:2", "--data", str(file), code=1).stderr
    file.write_text("[1, 2]\n[1,\n")
    assert "line 2" in run("toy:1", "toy:2", "--data", str(file), code=1).stderr


def test_the_server_compares_on_golden_rows(make_app: MakeApp, path: Path) -> None:
    client = make_app(path).test_client()
    same = answer(client.get("/models/toy/compare?a=1&b=1"))
    assert same["answers"]["changed"] == 0
    expected = json.loads(run("toy:1", "toy:2", "--json").stdout)
    assert (
        answer(client.get("/models/toy/compare?a=1&b=2"))["answers"]["changed"]
        == expected["answers"]["changed"]
    )
    assert "name two versions" in problem(client.get("/models/toy/compare?a=1"), 400)["detail"]
    assert "cannot be compared" in problem(client.get("/models/toy/compare?a=1&b=3"), 409)["detail"]
    problem(client.get("/models/none/compare?a=1&b=3"), 404)
