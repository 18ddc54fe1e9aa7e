"""Tests that names, dtypes, texts and dicts reach a model unchanged, in single requests and batches."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from models.publishing import publish
from models.store import Store
from tests.end_to_end.server import ROOT, Server

SEED = np.random.default_rng(11)
TEXTS = [f"{word} {i % 7}" for i, word in enumerate(["good film", "bad film", "good book"] * 15)]
MOOD = np.array([1, 0, 1] * 15)
FLAT = pd.DataFrame({"width": SEED.integers(1, 9, 40) * 1.0, "age": SEED.integers(1, 9, 40) * 1.0})
CODES = SEED.integers(0, 4, (60, 2))
SMALL = pd.DataFrame({"n": np.arange(40).astype("uint8"), "k": np.arange(40) - 20.0})
FACTS = [
    {"city": ["Bern", "Zug"][i % 2], "size": i % 5, **({"old": True} if i % 3 else {})} for i in range(40)
]
TIMES = pd.DataFrame(
    {"at": pd.date_range("2024-01-01", periods=40, freq="7h", tz="UTC"), "x": np.arange(40.0)}
)
ARROW = pd.DataFrame({"a": pd.array(range(40), dtype="int16[pyarrow]"), "b": pd.array(["x", "y"] * 20, dtype="string[pyarrow]")})  # fmt: skip


def as_text(X: Any) -> Any:
    return np.asarray(X).astype(str)


def squares(X: pd.DataFrame) -> Any:
    """Square in the column's dtype: 16 gives 256, which a byte cannot hold."""
    return np.c_[X["n"].astype("int64") ** 2, X["k"]]


def hours(X: pd.DataFrame) -> Any:
    return np.c_[X["at"].dt.hour, X["x"]]


def lengths(X: pl.DataFrame) -> Any:
    return X.select(pl.col("a") * 2.0, n=pl.col("b").str.len_chars()).to_numpy()


def marks(X: pd.DataFrame) -> Any:
    return np.c_[X["a"].astype("float64"), X["b"].astype(str) == "y"]


def writes(X: Any) -> Any:
    X[:, 0] = np.log1p(X[:, 0])
    return X


@dataclass
class Kind:
    """``asked`` : bodies of a client, and the rows that the estimator itself is asked with; ``wrong`` : bodies that are 422."""

    make: Callable[[], Any]
    sample: Any
    asked: list[tuple[Any, Any]]
    wrong: list[tuple[Any, str]] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)


def line(function: Any, X: Any, y: Any) -> Any:
    return make_pipeline(FunctionTransformer(function), LinearRegression()).fit(X, y)


KINDS: dict[str, Kind] = {
    "texts": Kind(
        lambda: make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, MOOD),
        pd.DataFrame({"text": TEXTS}),
        [({"text": "good"}, ["good"]), (["bad film"], ["bad film"]), ({"text": "book 3"}, ["book 3"])],
        [({"text": 5}, "text")],
    ),
    "dicts": Kind(
        lambda: make_pipeline(DictVectorizer(), LinearRegression()).fit(FACTS, np.arange(40.0)),
        FACTS,
        [
            ({"city": "Zug", "size": 3}, [{"city": "Zug", "size": 3}]),
            ({"city": "Bern", "size": 1, "old": True}, [{"city": "Bern", "size": 1, "old": True}]),
        ],
        [({"city": "Zug", "size": "3"}, "an integer")],
    ),
    "named": Kind(
        lambda: LinearRegression().fit(FLAT.to_numpy(), FLAT["width"] * 100 + FLAT["age"]),
        FLAT,
        [({"width": 1, "age": 5}, [[1.0, 5.0]]), ({"age": 5, "width": 1}, [[1.0, 5.0]]), ([2, 3], [[2.0, 3.0]])],
        [({"width": 1, "ages": 5}, "did you mean 'age'?")],
    ),
    "codes": Kind(
        lambda: make_pipeline(
            FunctionTransformer(as_text), OneHotEncoder(handle_unknown="ignore"), LinearRegression()
        ).fit(CODES, CODES @ [3.0, 5.0]),
        CODES,
        [([1, 3], np.array([[1, 3]])), ([2.0, 0], np.array([[2, 0]])), ([0, 0], np.array([[0, 0]]))],
        [([1, 2.5], "an integer")],
    ),
    "bytes": Kind(
        lambda: line(squares, SMALL, SMALL["n"].astype(float)),
        SMALL,
        [({"n": n, "k": -200}, pd.DataFrame({"n": np.array([n], "uint8"), "k": [-200.0]})) for n in (0, 16, 255)],
        [({"n": 300, "k": -200}, "255"), ({"n": -1, "k": 0}, "from 0")],
    ),
    "times": Kind(
        lambda: line(hours, TIMES, TIMES["x"]),
        TIMES,
        [
            ({"at": "2024-06-01T23:30:00+02:00", "x": 1.5}, TIMES[:1].assign(at=pd.Timestamp("2024-06-01T21:30Z"), x=1.5)),
            ({"at": "2024-06-01T05:00:00Z", "x": 2}, TIMES[:1].assign(at=pd.Timestamp("2024-06-01T05:00Z"), x=2.0)),
        ],
        [({"at": "2024-06-01 at 5", "x": 2}, "date"), ({"at": "2024-06-01T05:00:00", "x": 2}, "offset")],
    ),
    "arrow": Kind(
        lambda: line(marks, ARROW, np.arange(40.0)),
        ARROW,
        [({"a": 7, "b": "y"}, ARROW[7:8]), ({"a": 8, "b": "x"}, ARROW[8:9])],
        [({"a": 40000, "b": "x"}, "32767")],
    ),
    "polars": Kind(
        lambda: line(lengths, pl.DataFrame({"a": [1, 2, 3], "b": ["x", "yy", "z"]}), [1.0, 2.0, 4.0]),
        pl.DataFrame({"a": [*range(40)], "b": ["x", "yy"] * 20}),
        [({"a": 3, "b": "zzz"}, pl.DataFrame({"a": [3], "b": ["zzz"]}))],
        [({"a": None, "b": "x"}, "an integer")],
    ),
    "writer": Kind(
        lambda: line(writes, np.abs(CODES * 1.5), CODES[:, 0] * 1.0),
        np.abs(CODES * 1.5),
        [([1.5, 2], np.array([[1.5, 2.0]])), ([3, 0], np.array([[3.0, 0.0]]))],
    ),
    "coerced": Kind(
        lambda: LinearRegression().fit(FLAT, FLAT["width"] * 100 + FLAT["age"]),
        FLAT,
        [({"width": "1", "age": "5"}, FLAT[:1].assign(width=1.0, age=5.0))],
        [({"width": "one", "age": 5}, "a number")],
        {"coerce": True},
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with one worker and all kinds, published from Python, two also by a command."""
    work = tmp_path_factory.mktemp("inputs")
    store = Store(work / "store")
    for name, kind in KINDS.items():
        publish(store, name, kind.make(), kind.sample, **kind.options)
    by_command(work, store, "texts", "--data", table(work, KINDS["texts"].sample))
    example = work / "row.json"
    example.write_text('{"width": 1, "age": 5}')
    by_command(work, store, "named", "--example", str(example))
    with Server(store.path, PLUMBLINE_DEFAULT_MODEL="named") as running:
        yield running


def table(work: Path, frame: pd.DataFrame) -> str:
    frame.to_csv(work / "sample.csv", index=False)
    return str(work / "sample.csv")


def by_command(work: Path, store: Store, name: str, *options: str) -> None:
    """Publish the kind as ``<name>-cli``, from a file."""
    joblib.dump(KINDS[name].make(), work / f"{name}.joblib")
    words = [sys.executable, "-m", "flask", "--app", "wsgi", "models", "publish", f"{name}-cli"]
    environment = {**os.environ, "PLUMBLINE_STORE": str(store.path)}
    subprocess.run([*words, str(work / f"{name}.joblib"), *options], cwd=ROOT, env=environment, check=True)


@pytest.mark.parametrize("model", [*KINDS, "texts-cli", "named-cli"])
def test_it_answers_as_its_estimator_does_alone_together_and_beside_others(
    server: Server, model: str
) -> None:
    kind = KINDS[model.removesuffix("-cli")]
    estimator = kind.make()
    expected = [np.asarray(estimator.predict(X))[0].item() for _, X in kind.asked]

    def ask(i: int) -> Any:
        reply = server.post(f"/models/{model}/predict", {"features": kind.asked[i][0]})
        assert reply.status == 200, reply.body
        return reply.json()["prediction"]

    assert [ask(i) for i in range(len(expected))] == pytest.approx(expected, rel=1e-9, abs=1e-9)
    together = server.post(f"/models/{model}/predict/batch", {"inputs": [body for body, _ in kind.asked]})
    assert together.status == 200, together.body
    assert together.json()["predictions"] == pytest.approx(expected, rel=1e-9, abs=1e-9)
    order = [i % len(expected) for i in range(32)]
    with ThreadPoolExecutor(16) as clients:
        found = [*clients.map(ask, order)]
    assert found == pytest.approx([expected[i] for i in order], rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("model", "body", "says"),
    [(name, body, says) for name, kind in KINDS.items() for body, says in kind.wrong],
)
def test_what_the_model_was_not_trained_on_is_refused_with_what_it_takes(
    server: Server, model: str, body: Any, says: str
) -> None:
    good = KINDS[model].asked[0][0]
    for path, asked in (("", {"features": body}), ("/batch", {"inputs": [good, body]})):
        reply = server.post(f"/models/{model}/predict{path}", asked)
        assert reply.status == 422, reply.body
        assert says in f"{reply.json()['errors']}"
