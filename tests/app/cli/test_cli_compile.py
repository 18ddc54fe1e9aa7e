"""The option `--compile` of `flask models publish`, and what `show` prints about the form."""

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
from sklearn.ensemble import HistGradientBoostingClassifier

from app.cli.commands import COMMANDS
from models.manifest import MANIFEST, sealed
from models.publishing.compiling import choice
from models.store import Store
from tests.toys import directory

pytestmark = pytest.mark.usefixtures("compiler")

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `flask models ..` in the directory of model.joblib and data.csv."""
    monkeypatch.setenv("PLUMBLINE_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(choice, "WORTHWHILE", 0.0)  # speed on a busy machine is not what is tested
    monkeypatch.chdir(tmp_path)
    app = Flask("cli")
    for command in COMMANDS:
        app.cli.add_command(command)
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), columns=["width", "height"])
    model = HistGradientBoostingClassifier(max_iter=3).fit(X, X["width"] > 0)
    joblib.dump(model, "model.joblib")
    X.to_csv("data.csv", index=False)

    def invoke(*words: str) -> Result:
        result = app.test_cli_runner().invoke(args=["models", *words])
        assert result.exit_code == 0, result.output
        return result

    return invoke


PUBLISH = ("publish", "box", "model.joblib", "--data", "data.csv", "--compile")


def facts(result: Result) -> dict[str, str]:
    lines = (line.partition("  ") for line in result.stdout.splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def test_the_form_its_speed_and_the_deviation_are_printed(run: Run) -> None:
    for result in (run(*PUBLISH, "auto"), run("show", "box")):
        found = facts(result)
        assert found["compiled"].startswith("treelite: ")
        assert "x as fast as the original for 1 row and " in found["compiled"]
        assert found["deviation"].endswith(" rows; 1e-09 is allowed")
        assert "served here" not in found
        assert result.stderr == ""


def test_json_has_the_whole_record_and_nothing_else(run: Run) -> None:
    document: dict[str, Any] = json.loads(run(*PUBLISH, "auto", "--json").stdout)
    assert document["compiled"]["form"] == "treelite"
    assert document["compiled"]["speed_up"].keys() == {"1", "8", "64"}
    assert json.loads(run("show", "box", "--json").stdout)["compiled"] == document["compiled"]


def test_what_cannot_be_compiled_is_published_all_the_same(run: Run) -> None:
    found = facts(run(*PUBLISH, "onnx"))
    assert found["compiled"].startswith("cannot be compiled: ONNX Runtime: skl2onnx cannot convert")
    assert found["compiled"].endswith("; the original serves")


def test_show_says_when_the_original_serves_here(run: Run, tmp_path: Path) -> None:
    run(*PUBLISH, "treelite")
    file = directory(Store(tmp_path / "store").get("box", 1)) / MANIFEST
    manifest = json.loads(file.read_bytes())
    manifest["compiled"]["platform"]["machine"] = "pdp11"
    file.write_bytes(sealed(manifest))
    found = facts(run("show", "box"))
    assert found["served here"].startswith("by the original: it was built for Linux pdp11 glibc and this is")


def test_nothing_is_said_about_forms_that_were_not_asked_for(run: Run) -> None:
    assert "compiled" not in facts(run("publish", "box", "model.joblib", "--data", "data.csv"))
