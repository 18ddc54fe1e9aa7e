"""The command `flask models publish`: what it records of examples and data, and its one-line errors."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from click.testing import Result
from flask import Flask
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from app.cli.commands import COMMANDS
from models.store import Store
from tests.models.pickles import OLD, older
from tests.toys import Summing

Run = Callable[..., Result]

NAMES = ["width", "height", "weight"]
ROW = {"width": 1.5, "height": 2.0, "weight": 0.25}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("PLUMBLINE_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    return Store(tmp_path / "store")


@pytest.fixture
def run(store: Store) -> Run:
    """Run `flask models publish`; a value that is not text is first written to a file as JSON."""
    app = Flask("cli")
    for command in COMMANDS:
        app.cli.add_command(command)

    def invoke(*args: Any, stdin: str | None = None) -> Result:
        words = [word if isinstance(word, str) else as_file(word) for word in args]
        return app.test_cli_runner().invoke(args=["models", "publish", *words], input=stdin)

    def as_file(value: Any) -> str:
        if isinstance(value, pd.DataFrame):
            value.to_csv("data.csv", index=False)
            return "data.csv"
        Path("row.json").write_text(json.dumps(value))
        return "row.json"

    invoke.app = app  # type: ignore[attr-defined]
    return invoke


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the joblib file of each kind of model."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(60, 3)), columns=NAMES)
    y = (X["width"] > 0).astype(int)
    mixed = X.assign(colour=["red", "green", "blue"] * 20, count=range(60))
    colours = make_column_transformer((OneHotEncoder(), ["colour"]), remainder="passthrough")
    models = {
        "named": LogisticRegression().fit(X, y),
        "unnamed": LinearRegression().fit(X.to_numpy(), X.to_numpy() @ [1.0, 10.0, 100.0]),
        "mixed": make_pipeline(colours, LogisticRegression(max_iter=1000)).fit(mixed, y),
        "text": LogisticRegression().fit(X, y.astype(str)),
        "declared": Summing(),
        "nothing": {"no": "model"},
    }
    folder = tmp_path_factory.mktemp("files")
    for kind, model in models.items():
        joblib.dump(model, folder / f"{kind}.joblib")
    return {kind: str(folder / f"{kind}.joblib") for kind in models}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """A file of 40 rows for every model, with the outcome and a column that no model takes."""
    rng = np.random.default_rng(1)
    X = pd.DataFrame(rng.normal(size=(40, 3)), columns=NAMES).round(3)
    outcome = (X["width"] > 0).astype(int)
    extra = {"note": "unused", "colour": ["red", "blue"] * 20, "count": range(40), "outcome": outcome}
    return X.assign(**extra, a=1.5, b=range(40))


def fails(result: Result, *words: str, exit_code: int = 1) -> None:
    """Check for a failure: one line on standard error, and an empty standard output."""
    assert (result.exit_code, result.stdout) == (exit_code, ""), result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert all(word in line for word in words), line


def published(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


@pytest.mark.parametrize(
    "body",
    [
        {"features": [1.5, 2.0, 0.25]},
        {"features": {"weight": 0.25, "width": 1.5, "height": 2}},
        ROW,
        {"inputs": [[1.5, 2.0, 0.25], {"width": 1, "height": 1, "weight": 1}]},
    ],
)
def test_every_form_of_a_request_is_an_example(
    run: Run, store: Store, files: dict[str, str], body: Any
) -> None:
    document = published(run("box", files["named"], "--example", body, "--json"))
    assert document["example"]["request"] == {"features": [1.5, 2.0, 0.25]}
    assert [c["name"] for c in document["signature"]["columns"]] == NAMES
    assert document["golden_synthetic"] is True
    assert store.get("box", 1).manifest.golden_rows >= 32


def test_standard_input_is_an_example(run: Run, files: dict[str, str]) -> None:
    result = run("box", files["named"], "--example", "-", "--json", stdin=json.dumps(ROW))
    assert published(result)["example"]["request"] == {"features": [1.5, 2.0, 0.25]}


def test_an_example_names_the_columns_of_a_model_without_names(run: Run, files: dict[str, str]) -> None:
    """The names keep their order; sorted, they would be f1, f10, f2."""
    body = {"f1": 1, "f2": 2, "f10": 3}
    document = published(run("line", files["unnamed"], "--example", body, "--json"))
    assert document["example"]["request"] == {"features": [1.0, 2.0, 3.0]}
    assert document["example"]["response"]["prediction"] == pytest.approx(321.0)
    assert [c["name"] for c in document["signature"]["columns"]] == ["f1", "f2", "f10"]


def test_a_whole_number_in_an_example_does_not_make_a_column_of_integers(
    run: Run, files: dict[str, str]
) -> None:
    body = {**ROW, "width": 1, "colour": "red", "count": 4}
    document = published(run("mixed", files["mixed"], "--example", body, "--json"))
    kinds = {c["name"]: c["dtype"] for c in document["signature"]["columns"]}
    assert kinds == {**dict.fromkeys(NAMES, "float"), "colour": "category", "count": "float"}
    assert document["example"]["request"] == {**ROW, "width": 1.0, "colour": "red", "count": 4.0}


def test_data_gives_ranges_and_real_golden_rows_and_leaves_extra_columns_out(
    run: Run, files: dict[str, str], table: pd.DataFrame
) -> None:
    document = published(run("mixed", files["mixed"], "--data", table, "--json"))
    columns = {c["name"]: c for c in document["signature"]["columns"]}
    assert list(columns) == [*NAMES, "colour", "count"]
    assert columns["width"]["observed"] == [table["width"].min(), table["width"].max()]
    assert columns["count"]["dtype"] == "int"
    assert document["golden_synthetic"] is False
    assert document["metrics"] == {}


def test_the_example_is_recorded_before_the_data(
    run: Run, files: dict[str, str], table: pd.DataFrame
) -> None:
    body = {**ROW, "colour": "green", "count": 7.0}
    document = published(run("mixed", files["mixed"], "--example", body, "--data", table, "--json"))
    assert document["example"]["request"] == {**ROW, "colour": "green", "count": 7}
    assert {c["name"]: c["dtype"] for c in document["signature"]["columns"]}["count"] == "int"
    assert document["golden_synthetic"] is False


def test_the_target_column_measures_the_model(run: Run, files: dict[str, str], table: pd.DataFrame) -> None:
    given = ("--target", "outcome", "--metric", "auc=0.9", "--metric", "loss = 1e-3", "--json")
    document = published(run("box", files["named"], "--data", table, *given))
    assert document["metrics"] == {
        "sample_accuracy": pytest.approx(0.95, abs=0.05),
        "auc": 0.9,
        "loss": 0.001,
    }


def test_labels_that_are_text_are_compared_as_text(
    run: Run, files: dict[str, str], table: pd.DataFrame
) -> None:
    document = published(run("box", files["text"], "--data", table, "--target", "outcome", "--json"))
    assert document["metrics"]["sample_accuracy"] > 0.85


@pytest.mark.parametrize("words", [("01234", "90210"), ("1", "2"), ("true", "false"), ("1e5", "")])
@pytest.mark.parametrize(
    "encoder",
    [
        OneHotEncoder(handle_unknown="ignore"),
        OneHotEncoder(),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=9),
    ],
    ids=["ignores", "raises", "ordinal"],
)
def test_text_that_looks_like_numbers_is_read_as_the_model_knows_it(
    run: Run, store: Store, encoder: Any, words: tuple[str, str]
) -> None:
    """A postcode of digits would be a number, which no encoder of text knows."""
    X = pd.DataFrame({"n": np.arange(40) % 7, "code": [word or None for word in words] * 20})
    y = X["n"] + 100.0 * (X["code"] == words[0])
    coded = make_column_transformer((encoder, ["code"]), remainder="passthrough")
    model = make_pipeline(coded, HistGradientBoostingRegressor(min_samples_leaf=2)).fit(X, y)
    joblib.dump(model, "codes.joblib")
    document = published(run("codes", "codes.joblib", "--data", X.assign(y=y), "--target", "y", "--json"))
    assert document["example"]["request"] == {"n": 0, "code": words[0]}
    assert document["example"]["response"]["prediction"] == pytest.approx(float(model.predict(X[:1])[0]))
    assert document["metrics"]["sample_mean_absolute_error"] < 5


def test_a_model_without_names_takes_the_columns_of_the_data_in_order(
    run: Run, files: dict[str, str], table: pd.DataFrame
) -> None:
    data = table[[*NAMES, "outcome"]]
    result = run("line", files["unnamed"], "--data", data, "--target", "outcome", "--json")
    assert published(result)["example"]["request"] == {"features": table[NAMES].iloc[0].tolist()}
    fails(run("line", files["unnamed"], "--data", data), "has 4 columns", "fitted on 3", "--target")


def test_a_declared_signature_reads_parameters_and_its_columns(
    run: Run, files: dict[str, str], table: pd.DataFrame
) -> None:
    body = {"features": [1, 2], "parameters": {"factor": 3}}
    document = published(run("sum", files["declared"], "--example", body, "--data", table, "--json"))
    assert document["example"]["request"] == {"a": 1.0, "b": 2.0, "factor": 3.0}
    assert document["example"]["response"] == {"prediction": 9.0}
    assert document["golden_synthetic"] is False
    alone = published(run("sum", files["declared"], "--example", {"a": 1, "b": 2}, "--json"))
    assert (alone["version"], alone["example"]["response"]) == (2, {"prediction": 3.0})


def test_what_is_printed_says_what_was_published_and_what_comes_next(
    run: Run, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST", "::")
    monkeypatch.setenv("PORT", "8123")
    given = (
        "--tag",
        "1.0.0",
        "--tag",
        "first",
        "--metric",
        "auc=0.5",
        "--description",
        "It's a \x1b[31mbox\n!",
    )
    first = run("box", files["named"], "--example", ROW, *given).stdout
    assert "box:1  (1.0.0, first, stable, latest)" in first
    assert "It's a  [31mbox !" in first
    assert "auc 0.5" in first
    assert "ms for 1, " in first
    assert "class, one of 0, 1 with probabilities" in first
    assert "model.joblib" in first
    assert "made from the example alone" in first
    assert (
        "http://127.0.0.1:8123/models/box/versions/1/predict -H 'Content-Type: application/json' -d '"
        in first
    )
    assert first.splitlines()[-1].split(maxsplit=1) == ["next", "flask predict box:1 --example"]
    few = pd.DataFrame(np.random.default_rng(1).normal(size=(20, 3)), columns=NAMES)
    assert (
        "made from 20 rows; --data SAMPLE.csv with more" in run("box", files["named"], "--data", few).stdout
    )
    assert "stable       is still box:1" in run("box", files["named"], "--example", ROW).stdout


def test_own_classes_need_their_code_and_the_error_says_so(
    run: Run, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shapes.py").write_text(
        "class Area:\n    n_features_in_ = 2\n    def predict(self, X):\n        return X[:, 0] * X[:, 1]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import shapes  # type: ignore[import-not-found]

    joblib.dump(shapes.Area(), "area.joblib")
    monkeypatch.undo()
    monkeypatch.setenv("PLUMBLINE_STORE", str(store.path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(tmp_path))])
    monkeypatch.delitem(sys.modules, "shapes")
    example = ("--example", {"features": [2, 3]})
    fails(run("area", "area.joblib", *example), "Area", "shapes", "--code PATH")
    assert store.names() == []
    document = published(run("area", "area.joblib", *example, "--code", "shapes.py", "--json"))
    assert document["example"]["response"] == {"prediction": 6.0}
    assert "code/shapes.py" in document["files"]
    fails(run("area", "area.joblib", *example, "--code", "nowhere.py"), "--code nowhere.py")


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        ("named", {"features": [1, 2]}, ["features: wrong number of values", "3 values", "2 values"]),
        ("unnamed", {"f1": 1, "f2": 2}, ["the sample has 2 columns (f1, f2), the model was fitted on 3"]),
        ("named", {"inputs": [[1, 2, 3], 4]}, ["inputs.1: not a row"]),
        ("named", {"inputs": []}, ["inputs: no rows"]),
        ("named", {**ROW, "wieght": 1}, ["wieght: unknown name", "did you mean 'weight'"]),
        ("named", {"features": {"width": 1, "height": 1}}, ["features.weight: missing"]),
        ("named", {"features": [1, 2, 3], "parameters": {}}, ["parameters: unknown name"]),
        ("named", [1, 2, 3], ["not an object", '{"features": [..]}']),
        ("named", {"features": [1, "two", 3]}, ["the sample: "]),
        ("declared", {"features": [1, True]}, ["features.b: a boolean is not allowed"]),
    ],
)
def test_an_example_that_does_not_fit_is_refused(
    run: Run, store: Store, files: dict[str, str], kind: str, body: Any, words: list[str]
) -> None:
    fails(run("box", files[kind], "--example", body), *words)
    assert store.names() == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["row.json", "empty"]),
        ("{'features': [1]}", ["row.json", "double quotes"]),
        ('{"features": [NaN, 1, 2]}', ["NaN"]),
        ('{"features": [1, 2, 3], "features": [1, 2, 3]}', ["'features' appears twice"]),
    ],
)
def test_an_example_that_is_no_json_is_refused(
    run: Run, files: dict[str, str], tmp_path: Path, text: str, words: list[str]
) -> None:
    (tmp_path / "row.json").write_text(text)
    fails(run("box", files["named"], "--example", "row.json"), *words)
    fails(run("box", files["named"], "--example", "-", stdin=text), "standard input")


@pytest.mark.parametrize(
    ("kind", "content", "words"),
    [
        ("named", b"\xff\xfe\x00\x01\n1,2\n", ["cannot be read as CSV"]),
        ("named", b"", ["cannot be read as CSV"]),
        ("named", b"width,height,weight\n", ["data.csv has no rows"]),
        ("named", b"width,height,weight\n1,2,3,4\n5,6,7,8\n", ["cannot be read as CSV", "loss of data"]),
        ("named", b"width,height\n1,2\n", ["lacks weight", "width, height"]),
        ("named", b"width,height,weight\n1,2,many\n", ["the sample: "]),
        ("declared", b"a\n1\n", ["lacks b"]),
        ("declared", b"a,b\n1,2\n3,many\n", ["data.csv.1.b: text is not allowed", '"many"']),
        ("declared", b"a,b\n1,\n", ["data.csv.0.b: null is not allowed"]),
    ],
)
def test_data_that_does_not_fit_is_refused(
    run: Run, store: Store, files: dict[str, str], tmp_path: Path, kind: str, content: bytes, words: list[str]
) -> None:
    (tmp_path / "data.csv").write_bytes(content)
    fails(run("box", files[kind], "--data", "data.csv"), *words)
    assert store.names() == []


def test_outcomes_that_cannot_be_used_are_refused(
    run: Run, files: dict[str, str], table: pd.DataFrame
) -> None:
    fails(run("box", files["named"], "--data", table, "--target", "result"), "lacks result", "outcome")
    holes = table.assign(outcome=table["outcome"].where(table["count"] > 1))
    fails(run("box", files["named"], "--data", holes, "--target", "outcome"), "2 of 40 rows have no outcome")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], ["--example ROW.json", "--data SAMPLE.csv"]),
        (["--example", ROW, "--target", "outcome"], ["--target names a column of --data"]),
        (
            ["--example", ROW, "--data", "x.csv", "--target", "outcome"],
            ["--example has no outcome for --target"],
        ),
        (["--example", ROW, "--metric", "accuracy"], ["--metric 'accuracy'", "NAME=NUMBER"]),
        (["--example", ROW, "--metric", "accuracy=high"], ["--metric 'accuracy=high'", "NAME=NUMBER"]),
        (["--example", ROW, "--metric", "=1"], ["--metric '=1'", "NAME=NUMBER"]),
        (["--exmaple", ROW], ["No such option", "--example"]),
    ],
)
def test_a_call_that_lacks_something_is_one_line_too(
    run: Run, files: dict[str, str], words: list[Any], said: list[str]
) -> None:
    fails(run("box", files["named"], *words), *said, "publish --help", exit_code=2)


def test_what_is_no_model_name_tag_or_metric_is_refused(
    run: Run, store: Store, files: dict[str, str]
) -> None:
    example = ("--example", ROW)
    fails(run("Box", files["named"], *example), "'Box' is not a model name")
    fails(run("box", files["named"], *example, "--tag", "7"), "'7' is not a tag")
    fails(run("box", files["named"], *example, "--tag", "stable"), "'stable' cannot be set as a tag")
    fails(run("box", files["named"], *example, "--metric", "auc=nan"), "'auc' is nan", "finite")
    assert store.names() == []


def test_what_is_no_model_file_is_refused(
    run: Run, store: Store, files: dict[str, str], tmp_path: Path
) -> None:
    example = ("--example", ROW)
    fails(run("box", "nowhere.joblib", *example), "nowhere.joblib: no such file or directory")
    fails(run("box", str(tmp_path), *example), "is a directory; name the joblib")
    fails(run("box", files["named"], "--example", "nowhere.json"), "nowhere.json: no such file")
    (tmp_path / "text.joblib").write_text("not a pickle")
    fails(run("box", "text.joblib", *example), "text.joblib is text, not a pickle")
    fails(run("box", files["nothing"], *example), "dict has no predict()")
    assert store.names() == []


def test_a_file_of_another_scikit_learn_is_published_only_on_purpose_and_shown_as_such(
    run: Run, store: Store, files: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "old.pickle").write_bytes(older(joblib.load(files["named"])))
    call = ("box", "old.pickle", "--example", ROW)
    fails(
        run(*call), f"scikit-learn {OLD}", sklearn.__version__, "train it again", "--accept-version-mismatch"
    )
    assert store.names() == []
    document = published(run(*call, "--accept-version-mismatch", "--json"))
    assert document["pickled_with"] == {"scikit-learn": OLD}
    runner = run.app.test_cli_runner()
    shown = runner.invoke(args=["models", "show", "box:1"]).stdout
    assert f"pickled with  scikit-learn {OLD}" in shown
    listed = runner.invoke(args=["models", "list"]).stdout
    assert "pickled with" in listed and f"scikit-learn {OLD}" in listed
    (model,) = json.loads(runner.invoke(args=["models", "list", "--json"]).stdout)["models"]
    assert model["versions"][0]["pickled_with"] == {"scikit-learn": OLD}


def test_what_a_library_says_about_the_file_is_one_line_beside_the_result(run: Run, tmp_path: Path) -> None:
    (tmp_path / "warned.pickle").write_bytes(cloudpickle.dumps(Warned()))
    result = run("sum", "warned.pickle", "--example", {"features": [1, 2]}, "--json")
    assert published(result)["version"] == 1
    assert result.stderr == "Warning: this model is of last year\n"


class Warned(Summing):
    """A model that prints a line when it is unpickled."""

    def __setstate__(self, state: Any) -> None:
        warnings.warn("this model is of\nlast year", stacklevel=1)

    def __getstate__(self) -> Any:
        return {"a": 1}
