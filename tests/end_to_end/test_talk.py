"""Tests that output of models and of C libraries never mixes with the access log."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.publishing import publish
from models.signature import Column, Output, Signature
from models.store import Store
from tests.conftest import wait_until
from tests.end_to_end.server import ROOT, Server


class Talker:
    """A model that prints in every way, when it is loaded and when it is called."""

    signature = Signature((Column("x"),), Output("number"))

    def __setstate__(self, state: Any) -> None:
        print("loading", "slowly")

    def __getstate__(self) -> Any:
        return {"a": 1}

    def predict(self, rows: np.ndarray) -> Any:
        print(f"answering {len(rows)}\nrows", end="\n")
        os.write(1, b"by number\n")
        c = ctypes.CDLL(None)
        c.puts(b"from C")
        c.fflush(None)
        sys.stdout.buffer.write(b"as bytes\n")
        sys.stdout.flush()
        return rows[:, 0]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("talk") / "store")
    publish(store, "talker", Talker(), [[1.0], [2.0]])
    return store


@pytest.fixture(scope="module")
def server(store: Store) -> Iterator[Server]:
    with Server(store.path, PLUMBLINE_BANNER="1") as running:
        yield running


def test_standard_output_is_the_access_log_and_the_banner_alone(server: Server) -> None:
    for row in range(3):
        reply = server.post("/models/talker/predict", {"features": [row]})
        assert (reply.status, reply.json()["prediction"]) == (200, row)
    wait_until(lambda: server.output.count('"/models/talker/predict"') == 3)
    beside = [line for line in server.output.splitlines() if not line.startswith("{")]
    assert next(line.split() for line in beside if line) == ["Plumbline", "is", "ready"]
    assert not any(word in line for line in beside for word in ("loading", "answering", "number", "from C"))
    assert all(json.loads(line) for line in server.output.splitlines() if line.startswith("{"))


def test_it_stands_on_standard_error_under_the_version_s_name(server: Server) -> None:
    server.post("/models/talker/predict", {"features": [1]})
    wait_until(lambda: "as bytes" in server.errors)
    lines = server.errors.splitlines()
    assert "talker:1 says: loading slowly" in lines
    said = lines.index("talker:1 says: answering 1")
    assert lines[said + 1] == "talker:1 says: rows"
    assert {"by number", "from C", "as bytes"} <= set(lines), (
        "without a name: Python does not see who wrote it"
    )


def test_a_command_s_results_are_its_output_alone(store: Store) -> None:
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "predict", "talker", "--example", "--json"]
    environment = {**os.environ, "PLUMBLINE_STORE": str(store.path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["prediction"] == 1.0
    assert {"talker:1 says: answering 1", "from C"} <= set(done.stderr.splitlines())


def test_publishing_prints_the_version_alone(store: Store, tmp_path: Path) -> None:
    program = "import pickle, sys; from tests.end_to_end.test_talk import Talker; pickle.dump(Talker(), sys.stdout.buffer)"
    with open(tmp_path / "talker.pickle", "wb") as file:
        subprocess.run([sys.executable, "-c", program], cwd=ROOT, stdout=file, check=True)
    (tmp_path / "row.json").write_text('{"x": 3}')
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "models", "publish", "other", "--json"]
    done = subprocess.run(
        [*command, str(tmp_path / "talker.pickle"), "--example", str(tmp_path / "row.json")],
        cwd=ROOT,
        env={**os.environ, "PLUMBLINE_STORE": str(store.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["name"] == "other"
    assert "loading slowly" in done.stderr
