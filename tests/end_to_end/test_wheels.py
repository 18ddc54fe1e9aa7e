"""Tests of installed libraries: their versions are recorded, and others must give the same answers."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from models.store import Store
from tests.end_to_end.server import ROOT, Server
from tests.environments import Environment

#: A library with a model, and one that the model's module imports when it is called.
TRIPLER = """
from models.signature import Column, Output, Signature

class Triple:
    signature = Signature((Column("x"),), Output("number"))

    def predict(self, rows):
        import happens  # as libraries import what they can use, if it is there
        from timestable import times
        return times(rows[:, 0])
"""
TABLE = "def times(x): return x * {factor}"

PUBLISH = """
import sys
from models.publishing import publish
from models.store import Store
from tripler import Triple

print(publish(Store(sys.argv[1]), "triple", Triple(), [[1.0], [2.0], [3.0]]).manifest.libraries)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    made = Environment.make(tmp_path_factory.mktemp("environment"))
    made.install("tripler", "1.0", TRIPLER, "timestable (>=1.0) ; python_version > '3'")
    made.install("happens", "1.0", "")
    made.install("timestable", "1.0", TABLE.format(factor=3))
    return made


@pytest.fixture(scope="module")
def store(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store into which a script of the environment has published the model."""
    work = tmp_path_factory.mktemp("work")
    (work / "train.py").write_text(PUBLISH)
    command: list[Any] = [environment.python, work / "train.py", work / "store"]
    subprocess.run(command, cwd=work, env={"PYTHONPATH": str(ROOT)}, check=True, capture_output=True)
    return Store(work / "store")


def test_every_library_that_the_model_needs_is_recorded(store: Store) -> None:
    """Its own, and what that declares to need and imports when it is called; not what else is imported, nor by this project."""
    libraries = store.get("triple", 1).manifest.libraries
    assert {"tripler": "1.0", "timestable": "1.0"}.items() <= libraries.items()
    assert libraries.keys() == {"python", "numpy", "joblib", "tripler", "timestable"}


@pytest.mark.parametrize(
    ("library", "source", "value"),
    [
        ("timestable", TABLE.format(factor=6), None),
        ("tripler", TRIPLER.replace("class Triple", "class Tripler"), None),
        ("timestable", f"# faster\n{TABLE.format(factor=3)}", 9.0),
    ],
    ids=["other answers", "another name", "the same answers"],
)
def test_another_version_is_served_only_where_it_answers_as_recorded(
    environment: Environment, store: Store, library: str, source: str, value: float | None
) -> None:
    environment.install("tripler", "1.0", TRIPLER)
    environment.install("timestable", "1.0", TABLE.format(factor=3))
    environment.install(library, "2.0", source)
    with Server(store.path, python=environment.python) as server:
        state = server.get("/models/triple").json()["versions"][0]
        reply = server.post("/models/triple/predict", {"x": 3.0})
        if value is not None:
            assert (reply.status, reply.json()["prediction"]) == (200, value)
            assert f"was published with {library} 1.0 (here 2.0); its golden rows still give" in server.errors
        else:
            assert (reply.status, state["state"]) == (503, "failed")
            assert f"triple:1 was published with {library} 1.0 (here 2.0) and" in state["reason"]
            assert "install the recorded versions, or train and publish it again" in state["reason"]
