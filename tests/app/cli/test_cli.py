"""The commands `flask models list, show, tag, delete, export, import, demo` and `flask predict`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from flask import Flask
from sklearn.linear_model import LinearRegression, LogisticRegression

from app.cli.commands import COMMANDS
from models.publishing import publish
from models.signature import Column, Output, Signature
from models.store import Store
from tests.toys import Summing

Run = Callable[..., Result]


class Listing:
    """A model that answers the requested number of records."""

    signature = Signature(
        columns=(Column("start", "int"),),
        output=Output(
            "records", columns=(Column("number", "int"), Column("by", "string")), version_column="by"
        ),
        parameters=(Column("k", "int", default=2, minimum=0, maximum=5),),
        bare=True,
    )

    def predict(self, rows: np.ndarray, k: int) -> list[list[dict[str, Any]]]:
        return [[{"number": int(start) + i} for i in range(k)] for start in rows[:, 0]]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two versions of a classifier, a sum with a parameter, a list and a vector."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 2))
    y = np.where(X[:, 0] > 0, "yes", "no")
    store = Store(tmp_path_factory.mktemp("published"))
    for tag in ("1.0.0", "2.0.0"):
        model = LogisticRegression().fit(X, y)
        publish(store, "toy", model, X, metrics={"auc": 0.9}, description="a [toy]", tags=(tag,))
    publish(store, "sum", Summing(), [[1.0, 2.0]])
    publish(store, "listing", Listing(), [[5]])
    publish(store, "vector", LinearRegression().fit(np.eye(9), np.eye(9)), np.eye(9))
    return store.path


@pytest.fixture
def store(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    shutil.copytree(published, tmp_path / "store")
    monkeypatch.setenv("PLUMBLINE_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    return Store(tmp_path / "store")


@pytest.fixture
def run(store: Store) -> Run:
    app = Flask("cli")
    for command in COMMANDS:
        app.cli.add_command(command)

    def invoke(*words: str, stdin: str | None = None) -> Result:
        return app.test_cli_runner().invoke(args=list(words), input=stdin)

    return invoke


def fails(result: Result, *words: str, exit_code: int = 1, lines: int = 1) -> None:
    """Check for a failure: its lines on standard error, and an empty standard output."""
    assert (result.exit_code, result.stdout) == (exit_code, ""), result.output
    said = result.stderr.splitlines()
    assert len(said) == lines, said
    assert all(line.startswith("Error: ") for line in said)
    assert all(word in result.stderr for word in words), result.stderr


def prints(result: Result) -> str:
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return result.stdout


def tells(result: Result) -> Any:
    return json.loads(prints(result))


# -- list ----------------------------------------------------------------------------------------------------


def test_lists_every_version_with_its_names_and_status(run: Run) -> None:
    lines = prints(run("models", "list")).splitlines()
    assert lines[0].split()[:5] == ["model", "version", "names", "framework", "trained"]
    assert len(lines) == 6
    assert lines[3].startswith("toy ")
    assert "1.0.0, stable" in lines[3]
    assert "2.0.0, latest" in lines[4]
    assert all(line.rstrip().endswith(" ok") for line in lines[1:])


def test_the_list_as_json(run: Run) -> None:
    models = {model["name"]: model for model in tells(run("models", "list", "--json"))["models"]}
    assert list(models) == ["listing", "sum", "toy", "vector"]
    toy = models["toy"]
    assert (toy["stable"], toy["latest"], toy["tags"]) == (1, 2, {"1.0.0": 1, "2.0.0": 2})
    assert [(v["version"], v["tags"], v["status"]) for v in toy["versions"]] == [
        (1, ["1.0.0", "stable"], "ok"),
        (2, ["2.0.0", "latest"], "ok"),
    ]
    assert toy["versions"][0]["framework"] == "scikit-learn"
    assert toy["versions"][0]["trained_at"] <= toy["versions"][0]["published_at"]


def test_an_empty_store_says_what_to_do(run: Run, store: Store) -> None:
    shutil.rmtree(store.path)
    assert "flask models demo" in prints(run("models", "list"))
    assert tells(run("models", "list", "--json")) == {"models": []}
    assert not store.path.exists()


def test_damaged_versions_are_listed_with_their_fault(run: Run, store: Store) -> None:
    artifact = store.path / "toy/2/model.joblib"
    data = bytearray(artifact.read_bytes())
    data[len(data) // 2] ^= 1
    artifact.write_bytes(data)
    (store.path / "sum/1/model.joblib").write_bytes(b"")
    (store.path / "vector/1/golden.json").unlink()
    (store.path / "toy/1/manifest.json").write_text("{}")
    (store.path / "listing/state.json").write_text("{")
    models = {model["name"]: model for model in tells(run("models", "list", "--json"))["models"]}
    status = {f"{name}:{v['version']}": v["status"] for name, m in models.items() for v in m["versions"]}
    assert "toy/2/model.joblib does not match its recorded SHA-256 digest" in status["toy:2"]
    assert "sum/1/model.joblib has 0 bytes" in status["sum:1"]
    assert "vector/1/golden.json is missing" in status["vector:1"]
    assert "toy/1/manifest.json is damaged" in status["toy:1"]
    assert "listing/state.json is damaged" in status["listing:1"]
    assert "toy/2/model.joblib does not match" in prints(run("models", "list"))
    assert tells(run("models", "show", "toy:2", "--json"))["status"] == status["toy:2"]
    fails(run("models", "show", "toy:1"), "toy/1/manifest.json is damaged", "publish the version again")
    fails(run("models", "show", "listing"), "listing/state.json is damaged")
    fails(run("predict", "toy:2", "--example"), "toy/2/model.joblib does not match")
    fails(run("models", "export", "toy:2", "toy.tar.gz"), "toy/2/model.joblib does not match")
    assert not Path("toy.tar.gz").exists()


def test_versions_without_a_signature_are_listed_as_such(
    run: Run, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_bytes(b"k" * 32)
    monkeypatch.setenv("PLUMBLINE_STORE_KEY", str(tmp_path / "key"))
    assert prints(run("models", "list")).count("has no valid signature") == 5
    fails(run("predict", "toy", "--example"), "no valid signature")
    monkeypatch.setenv("PLUMBLINE_STORE_KEY", str(tmp_path / "nokey"))
    fails(run("models", "list"), "PLUMBLINE_STORE_KEY", "nokey")


def test_wrong_settings_are_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMBLINE_STOER", "x")
    monkeypatch.setenv("PLUMBLINE_MAX_ROWS", "many")
    for command in (["models", "list"], ["predict", "toy", "--example"]):
        fails(
            run(*command),
            "PLUMBLINE_STOER is not a setting; did you mean PLUMBLINE_STORE?",
            "PLUMBLINE_MAX_ROWS",
        )


def test_a_store_that_is_no_directory_is_one_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prints(run("models", "export", "toy", "toy.tar.gz"))
    monkeypatch.setenv("PLUMBLINE_STORE", str(tmp_path / "toy.tar.gz" / "store"))
    fails(run("models", "import", "toy.tar.gz"), "the store", "cannot be used", "not a directory")


@contextmanager
def reader_of(path: Path, closed: str = ".staging") -> Iterator[None]:
    """Take away the right to write below ``path`` and to read ``closed``, also from root."""
    root = os.geteuid() == 0
    for each in [path, *path.rglob("*")]:
        each.chmod(0 if each.name == closed else 0o555 if each.is_dir() else 0o444)
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        subprocess.run(["chmod", "-R", "u+rwx", path], check=True)


def test_a_store_that_cannot_be_written_is_read_and_says_so(
    run: Run, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Directories of pytest are closed to everybody else, and root may write anywhere.
    with tempfile.TemporaryDirectory() as open_to_all:
        path = Path(shutil.copytree(store.path, Path(open_to_all) / "store"))
        os.chmod(open_to_all, 0o755)
        monkeypatch.setenv("PLUMBLINE_STORE", str(path))
        with reader_of(path):
            assert prints(run("models", "list")).count(" ok") == 5
            assert tells(run("predict", "toy", "--example", "--json"))["model_version"] == "1"
            for command in (["tag", "toy:1", "best"], ["delete", "toy:2"]):
                fails(run("models", *command), "the store", "cannot be used", "permission denied")
        with reader_of(path, closed="toy"):
            fails(run("models", "show", "toy"), str(path / "toy"), "ermission denied")
            listed = prints(run("models", "list"))
            assert "toy cannot be read from the store" in listed
            assert " ok" in listed, "the others are listed as ever"
        with reader_of(path, closed="history.jsonl"):
            fails(run("models", "show", "toy", "--history"), "toy/history.jsonl", "permission denied")


# -- show, tag, delete ---------------------------------------------------------------------------------------


def test_shows_a_version_by_name_number_and_tag(run: Run) -> None:
    for reference, version in (
        ("toy", 1),
        ("toy:2", 2),
        ("toy:2.0.0", 2),
        ("toy:latest", 2),
        ("toy:stable", 1),
    ):
        document = tells(run("models", "show", reference, "--json"))
        assert (document["name"], document["version"], document["status"]) == ("toy", version, "ok")
        assert document["tags"][0] == f"{version}.0.0"
        assert document["metrics"] == {"auc": 0.9}
        assert "history" not in document


def test_shows_everything_that_was_recorded(run: Run) -> None:
    shown = prints(run("models", "show", "toy", "--history"))
    assert "a [toy]" in shown
    assert "Columns, named by position" in shown
    assert "class, one of no, yes with probabilities" in shown
    assert "seen in training" in shown
    assert "History of the model" in shown
    assert "version 2, tags 2.0.0" in shown
    assert "curl -s http://127.0.0.1:8000/models/toy/versions/1/predict" in shown
    history = tells(run("models", "show", "toy", "--history", "--json"))["history"]
    assert [(change["what"], change["version"]) for change in history] == [("publish", 1), ("publish", 2)]
    listing = prints(run("models", "show", "listing"))
    assert "an integer from 0 to 5" in listing
    assert "Each record of the answer" in listing
    assert "History" not in listing
    assert "vector of 9" in prints(run("models", "show", "vector"))


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("tyo", ["no model called 'tyo'", "listing, sum, toy, vector"]),
        ("toy:7", ["no version or tag '7'", "1, 2, 1.0.0, 2.0.0"]),
        ("toy:best", ["no version or tag 'best'"]),
        ("Toy", ["'Toy' is not a model name"]),
        ("../toy", ["'../toy' is not a model name"]),
    ],
)
def test_what_does_not_exist_is_one_line_that_lists_what_does(
    run: Run, reference: str, words: list[str]
) -> None:
    for command in (["models", "show"], ["models", "export"], ["predict", "--example"]):
        more = ["file.tar.gz"] if "export" in command else []
        fails(run(*command, reference, *more), *words)


def test_a_tag_moves(run: Run, store: Store) -> None:
    assert prints(run("models", "tag", "toy:1", "best")) == "toy:best is now version 1\n"
    moved = tells(run("models", "tag", "toy:latest", "best", "--json"))
    assert moved == {"name": "toy", "version": 2, "tag": "best"}
    assert store.resolve("toy", "best") == 2


def test_what_cannot_be_tagged_is_refused(run: Run) -> None:
    fails(run("models", "tag", "toy:9", "best"), "no version or tag '9'")
    fails(run("models", "tag", "toy:1", "stable"), "'stable' cannot be set as a tag")
    fails(run("models", "tag", "toy:1", "3"), "'3' is not a tag")
    for reference in ("toy", "toy:"):
        fails(run("models", "tag", reference, "best"), "such as toy:2", "tag --help", exit_code=2)


def test_deletes_one_version_and_its_tags(run: Run, store: Store) -> None:
    assert prints(run("models", "delete", "toy:2.0.0")) == "toy:2 is deleted\n"
    assert store.versions("toy") == [1]
    assert "2.0.0" not in store.selectors("toy")


def test_a_version_that_is_needed_is_not_deleted(run: Run, store: Store) -> None:
    fails(run("models", "delete", "toy:1"), "toy:1 is stable", "flask models delete toy --all")
    fails(run("models", "delete", "toy"), "such as toy:2", exit_code=2)
    assert store.versions("toy") == [1, 2]


def test_a_whole_model_is_deleted_only_on_purpose(run: Run, store: Store) -> None:
    fails(
        run("models", "delete", "toy", "--all"), "toy with 2 versions would be deleted", "--yes", exit_code=2
    )
    fails(run("models", "delete", "toy:1", "--all", "--yes"), "'toy:1' is not a model name")
    fails(run("models", "delete", "tyo", "--all", "--yes"), "no model called 'tyo'")
    assert store.versions("toy") == [1, 2]
    assert tells(run("models", "delete", "toy", "--all", "--yes", "--json")) == {
        "name": "toy",
        "versions": [1, 2],
    }
    assert "toy" not in store.names()
    assert prints(run("models", "delete", "sum", "--all", "--yes")) == "sum with 1 version is deleted\n"


# -- export, import, demo ------------------------------------------------------------------------------------


def test_a_version_travels_as_a_file(run: Run, store: Store) -> None:
    assert prints(run("models", "export", "toy:2", "toy.tar.gz")) == "toy:2 is in toy.tar.gz\n"
    imported = tells(run("models", "import", "toy.tar.gz", "--name", "copy", "--tag", "2.0.0", "--json"))
    assert (imported["name"], imported["version"]) == ("copy", 1)
    assert imported["tags"] == ["2.0.0", "stable", "latest"]
    shown = prints(run("models", "import", "toy.tar.gz"))
    assert "toy:3  (latest)" in shown
    assert shown.splitlines()[-1].split(maxsplit=1) == ["next", "flask predict toy:3 --example"]
    assert tells(run("models", "export", "toy", "one.tar.gz", "--json"))["version"] == 1
    assert store.versions("toy") == [1, 2, 3]


def test_what_cannot_be_imported_or_exported_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "text.tar.gz").write_text("no archive")
    fails(run("models", "import", "text.tar.gz"), "text.tar.gz is not a complete tar.gz file")
    fails(run("models", "import", "nowhere.tar.gz"), "nowhere.tar.gz", "no such file")
    fails(run("models", "export", "toy", "nowhere/toy.tar.gz"), "nowhere/toy.tar.gz cannot be written")
    prints(run("models", "export", "toy", "toy.tar.gz"))
    fails(run("models", "import", "toy.tar.gz", "--name", "No"), "'No' is not a model name")


def test_demo_models_are_left_alone_when_the_store_has_models(run: Run, store: Store) -> None:
    before = store.generation()
    assert "listing, sum, toy, vector already" in prints(run("models", "demo", "--if-empty"))
    assert tells(run("models", "demo", "--if-empty", "--json")) == {"published": []}
    assert store.generation() == before


# -- predict -------------------------------------------------------------------------------------------------


def test_predicts_the_recorded_example(run: Run, store: Store) -> None:
    recorded = store.get("toy", 2).manifest.example["response"]
    reply = tells(run("predict", "toy:2", "--example", "--json"))
    assert reply == {**recorded, "model": "toy", "model_version": "2"}
    shown = prints(run("predict", "toy:2", "--example"))
    assert ["prediction", recorded["prediction"]] in [line.split() for line in shown.splitlines()]
    assert "p(yes)" in shown
    assert " ms" in shown


@pytest.mark.parametrize(
    ("body", "prediction"),
    [
        ({"features": [1, 2]}, 3.0),
        ({"features": {"a": 1, "b": 2}, "parameters": {"factor": 3}}, 9.0),
        ({"b": 1, "a": 1, "factor": 10}, 20.0),
    ],
)
def test_answers_a_single_body_in_any_form(run: Run, body: Any, prediction: float) -> None:
    reply = tells(run("predict", "sum", "--input", "-", "--json", stdin=json.dumps(body)))
    assert reply == {"prediction": prediction, "model": "sum", "model_version": "1"}


def test_answers_a_batch(run: Run, tmp_path: Path) -> None:
    (tmp_path / "batch.json").write_text(
        '{"inputs": [[1, 2], {"a": 3, "b": 4}], "parameters": {"factor": 2}}'
    )
    reply = tells(run("predict", "sum", "--input", "batch.json", "--json"))
    assert reply == {"predictions": [6.0, 14.0], "model": "sum", "model_version": "1"}
    lines = prints(run("predict", "sum", "--input", "batch.json")).splitlines()
    assert [line.split() for line in lines[:4]] == [
        ["factor", "2"],
        ["row", "a", "b", "prediction"],
        ["0", "1", "2", "6"],
        ["1", "3", "4", "14"],
    ]
    reply = tells(run("predict", "toy", "--input", "-", "--json", stdin='{"inputs": [[1, 2], [-1, 2]]}'))
    assert reply["predictions"] == ["yes", "no"]
    assert np.shape(reply["probabilities"]) == (2, 2)


def test_answers_the_rows_of_a_csv_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("b,note,a\n1,x,2\n3,y,4.5\n")
    assert tells(run("predict", "sum", "--input", "rows.csv", "--json"))["predictions"] == [3.0, 7.5]
    (tmp_path / "rows.CSV").write_text("anything,else\n1,2\n-1,2\n")
    assert tells(run("predict", "toy", "--input", "rows.CSV", "--json"))["predictions"] == ["yes", "no"]
    fails(run("predict", "vector", "--input", "rows.csv"), "rows.csv has 3 columns; the model takes 9")
    (tmp_path / "rows.csv").write_text("b\n1\n")
    fails(run("predict", "sum", "--input", "rows.csv"), "rows.csv lacks a; it has b")


def test_records_are_a_table_and_a_bare_reply_is_the_answer_alone(run: Run) -> None:
    assert tells(run("predict", "listing", "--example", "--json")) == [
        {"number": 5, "by": "1"},
        {"number": 6, "by": "1"},
    ]
    lines = prints(run("predict", "listing", "--example")).splitlines()
    assert [line.split() for line in lines[:6]] == [
        ["input", "value"],
        ["start", "5"],
        ["k", "2"],
        ["number"],
        ["5"],
        ["6"],
    ]
    batch = '{"inputs": [[1], [8]], "parameters": {"k": 1}}'
    reply = tells(run("predict", "listing", "--input", "-", "--json", stdin=batch))
    assert reply == [[{"number": 1, "by": "1"}], [{"number": 8, "by": "1"}]]
    shown = prints(run("predict", "listing", "--input", "-", stdin=batch))
    assert [line.split() for line in shown.splitlines()[1:4]] == [["row", "number"], ["0", "1"], ["1", "8"]]


def test_a_wide_batch_is_shown_by_the_numbers_of_its_rows(run: Run) -> None:
    body = json.dumps({"inputs": np.eye(9).tolist()})
    lines = prints(run("predict", "vector", "--input", "-", stdin=body)).splitlines()
    assert lines[0].split() == ["row", "prediction"]
    assert len(lines) == 9 + 3


def test_every_fault_of_a_request_is_a_line(run: Run) -> None:
    body = '{"inputs": [[1, true], [1], {"a": 1, "B": 2}], "parameters": {"fcator": 1}}'
    result = run("predict", "sum", "--input", "-", stdin=body)
    fails(
        result,
        "inputs.0.b: a boolean is not allowed; expected a number, got true",
        "inputs.1: wrong number of values; expected 2 values",
        "inputs.2.b: missing; expected a number",
        "inputs.2.B: unknown name",
        "parameters.fcator: unknown name; expected did you mean 'factor'?",
        lines=5,
    )
    fails(run("predict", "sum", "--input", "-", stdin="[1, 2]"), "the request: not an object")


def test_a_batch_is_limited_as_on_the_server(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMBLINE_MAX_ROWS", "2")
    body = '{"inputs": [[1, 2], [1, 2], [1, 2]]}'
    fails(run("predict", "sum", "--input", "-", stdin=body), "inputs: wrong number of rows", "1 to 2 rows")


def test_a_request_that_cannot_be_read_is_one_line(run: Run, tmp_path: Path) -> None:
    fails(run("predict", "sum", "--input", "nowhere.json"), "nowhere.json: no such file or directory")
    fails(run("predict", "sum", "--input", "nowhere.csv"), "nowhere.csv: no such file or directory")
    fails(
        run("predict", "sum", "--input", "-", stdin='{"features": [1, 2'), "standard input", "not valid JSON"
    )
    for words in ([], ["--example", "--input", "-"]):
        fails(run("predict", "sum", *words), "--example and --input", "predict --help", exit_code=2)


# -- calls ---------------------------------------------------------------------------------------------------


def test_a_wrong_call_is_one_line_that_names_the_help(run: Run) -> None:
    fails(run("models", "lsit"), "No such command 'lsit'", "models --help", exit_code=2)
    fails(run("models", "show"), "Missing argument 'NAME[:TAG]'", "models show --help", exit_code=2)
    fails(run("predict", "toy", "--exmaple"), "No such option", "predict --help", exit_code=2)


def test_help_lists_the_commands(run: Run) -> None:
    for words in (["models"], ["models", "--help"]):
        shown = run(*words).output
        for command in ("publish", "list", "show", "tag", "delete", "export", "import", "demo"):
            assert f"\n  {command} " in shown
    assert "--json" in prints(run("predict", "--help"))
