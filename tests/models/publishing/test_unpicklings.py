"""The number of times that one publish unpickles and hashes a model; docs/design-notes.md explains the
figures.
"""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from models.manifest import FileRecord
from models.publishing import publish
from models.publishing.compiling import choice
from models.record import Record
from models.runtimes.loading import load_version
from models.store import Store
from tests.toys import Counting

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3))
Y = (X[:, 0] + 0.1 * RNG.normal(size=200) > 0).astype(int)


def tell(path: str) -> None:
    """Write one line for each unpickling: the process."""
    with open(path, "a") as file:
        file.write(f"{os.getpid()}\n")


class Told:
    """An estimator that records each unpickling."""

    path: str

    def __setstate__(self, state: dict[str, Any]) -> None:
        tell(state["path"])
        super().__setstate__(state)  # type: ignore[misc]


class Becoming:
    """A stand-in in a model's pickle: it records the unpickling and becomes the model, since treelite takes
    no subclass.
    """

    def __init__(self, path: Path, model: Any) -> None:
        self.path, self.model = path, model

    def __reduce__(self) -> tuple[Any, ...]:
        return become, (str(self.path), pickle.dumps(self.model))


def become(path: str, data: bytes) -> Any:
    tell(path)
    return pickle.loads(data)


class Classifier(Told, RandomForestClassifier):
    """A forest whose compiled form gives the same labels."""


class Regressor(Told, RandomForestRegressor):
    """A forest of numbers."""


class Declared:
    """An object with a signature of its own."""

    def __init__(self, path: str) -> None:
        from models.signature import Column, Output, Signature

        self.path = path
        self.signature = Signature((Column("a"), Column("b"), Column("c")), Output("number"))

    def __setstate__(self, state: dict[str, Any]) -> None:
        tell(state["path"])
        self.__dict__.update(state)

    def predict(self, rows: np.ndarray) -> Any:
        return rows.sum(axis=1)


def made(kind: str, trace: Path) -> Any:
    if kind == "declared":
        return Declared(str(trace))
    frame = pd.DataFrame(X, columns=["a", "b", "c"]) if kind == "named" else X
    model = Classifier(20, random_state=0) if kind == "classifier" else Regressor(20, random_state=0)
    model.fit(frame, Y)
    model.path = str(trace)
    return model


def unpicklings(trace: Path) -> tuple[int, int]:
    """Return the unpicklings of the publisher, and those of the process that proves."""
    lines = trace.read_text().splitlines()
    return lines.count(str(os.getpid())), len([line for line in lines if line != str(os.getpid())])


@pytest.mark.parametrize("how", ["path", "object"])
@pytest.mark.parametrize("kind", ["classifier", "regressor", "named", "declared"])
def test_the_publisher_unpickles_once_and_the_proof_once(
    store: Store, tmp_path: Path, kind: str, how: str
) -> None:
    trace = tmp_path / "trace"
    model = made(kind, trace)
    if how == "path":
        joblib.dump(model, tmp_path / "model.joblib")
        model = tmp_path / "model.joblib"
    sample = pd.DataFrame(X, columns=["a", "b", "c"]) if kind == "named" else X
    publish(store, "toy", model, sample)
    assert unpicklings(trace) == (1, 1)


def test_compiled_trees_cost_no_further_unpickling(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "WORTHWHILE", 0.0)  # speed on a busy machine is not what is tested
    trace, file = tmp_path / "trace", tmp_path / "model.pkl"
    forest = RandomForestClassifier(5, max_depth=4, random_state=0).fit(X, Y)
    file.write_bytes(pickle.dumps(Becoming(trace, forest)))
    stored = publish(store, "toy", file, X, compile="treelite")
    assert stored.manifest.form == "treelite", stored.manifest.compiled
    assert unpicklings(trace) == (1, 1)
    files = Counting(stored.files)
    load_version(Record(stored.manifest, files), verify=True)
    assert files.reads == {"compiled/model.so": 1, "golden.json": 1}, "nor does a server touch the original"
    assert unpicklings(trace) == (1, 1)


def test_a_server_unpickles_and_reads_each_file_once(store: Store, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    stored = publish(store, "toy", made("classifier", trace), X)
    files = Counting(stored.files)
    load_version(Record(stored.manifest, files), verify=True)
    assert files.reads == {"model.joblib": 1, "golden.json": 1}
    assert unpicklings(trace) == (2, 1)


def test_the_publisher_hashes_each_file_once(store: Store, tmp_path: Path) -> None:
    """The golden rows are hashed once more when they are read back. The proof reads, and so hashes, each file
    once.
    """
    sizes: list[int] = []

    def watch(frame: FrameType, event: str, arg: Any) -> None:
        if event == "call" and frame.f_code in (FileRecord.of.__func__.__code__, FileRecord.check.__code__):  # type: ignore[attr-defined]
            sizes.append(len(frame.f_locals["data"]))

    sys.setprofile(watch)
    try:
        stored = publish(store, "toy", made("regressor", tmp_path / "trace"), X)
    finally:
        sys.setprofile(None)
    recorded = {path: file.size_bytes for path, file in stored.manifest.files.items()}
    assert {path: sizes.count(size) for path, size in recorded.items()} == {
        "model.joblib": 1,
        "golden.json": 2,
        "reference.json": 1,
    }
