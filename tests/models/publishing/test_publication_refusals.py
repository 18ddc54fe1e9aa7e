"""Models that cannot become a version: the message names the fault, and the store stays unchanged."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.manifold import TSNE
from sklearn.pipeline import make_pipeline

from models.errors import InvalidName, LoadError, PublishError, WrongCount
from models.publishing import publish
from models.publishing.answers import infer_output
from models.store import Store
from tests.toys import Local

X = np.random.default_rng(3).normal(size=(40, 3))
Y = (X[:, 0] > 0).astype(int)


class Answering(BaseEstimator):
    """A model that answers with a function of the rows."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer

    def predict(self, X: Any) -> Any:
        return self.answer(X)


def crash(X: Any) -> Any:
    raise RuntimeError("out of\ncheese")


@pytest.fixture(autouse=True)
def nothing_is_written(store: Store) -> Iterator[None]:
    yield
    assert not store.path.exists()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (TSNE(), "TSNE has no predict(); publish the fitted estimator or pipeline itself"),
        (LogisticRegression(), "the sample: NotFittedError: This LogisticRegression instance is not fitted"),
        (Answering(lambda X: X), "the model cannot be pickled: "),
        (Answering(Local(crash)), "the sample: RuntimeError: out of cheese"),
        (
            Answering(Local(lambda X: np.squeeze(X[:, :1]))),
            "the model answers in shape () where (1,) is declared when it is called with one row",
        ),
        (
            Answering(Local(lambda X: np.squeeze(X * 1.0))),
            "the model answers 3 rows where 1 were asked when it is called with one row",
        ),
        (
            Answering(Local(lambda X: np.append(X[1:, 0], np.inf if len(X) == 1 else 1.0))),
            "the model answers NaN or Infinity for a row; JSON has no such number when it is called with one row",
        ),
        (
            Answering(Local(lambda X: np.full(len(X), np.nan))),
            "the model answers NaN or Infinity for a row; JSON has no such number",
        ),
        (
            Answering(Local(lambda X: np.random.default_rng().normal(size=len(X)))),
            "the model gives different answers to the same rows",
        ),
        (
            Answering(Local(lambda X: np.full(len(X), "high"))),
            "predict() gives <U4 of shape (40,); declare a signature for it",
        ),
        (
            Answering(Local(lambda X: X[:, 0] > 0)),
            "predict() gives bool of shape (40,); declare a signature for it",
        ),
    ],
)
def test_a_model_that_cannot_answer_with_numbers_or_labels(store: Store, model: Any, message: str) -> None:
    with pytest.raises(PublishError) as refused:
        publish(store, "toy", model, X)
    assert str(refused.value).startswith(message) or message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["2024-01-01", "2024-01-02"], dtype="datetime64[D]"),
        np.array(["2024-01-01", "2024-01-02"], dtype="datetime64[ns]"),
        np.array([1, 2], dtype="timedelta64[ns]"),
        np.array([datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)], dtype=object),
        np.array([b"no", b"yes"]),
    ],
    ids=lambda labels: str(labels.dtype),
)
def test_labels_that_json_does_not_have(store: Store, labels: np.ndarray) -> None:
    """NumPy returns nanoseconds as plain integers, which would be answered instead of the label."""
    with pytest.raises(PublishError, match=r"labels of type .* cannot be JSON; .* such as y\.astype\(str\)"):
        publish(store, "toy", DummyClassifier().fit(X, labels[Y]), X)


@pytest.mark.parametrize("label", [np.nan, np.inf])
def test_a_label_that_is_no_finite_number(store: Store, label: float) -> None:
    model = DummyClassifier().fit(X, Y * 1.0)
    model.classes_ = np.array([0.0, label])
    with pytest.raises(PublishError, match="NaN or Infinity is a label"):
        publish(store, "toy", model, X)


WORDS = ["good film", "bad film", "good plot", "dull plot"] * 10


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_a_text_model_given_a_frame_answers_by_columns_and_not_by_rows(store: Store, columns: int) -> None:
    """A vectoriser iterates over the names of a frame's columns, which may be as many as the rows."""
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(WORDS, Y)
    sample = pd.DataFrame({f"text{i}": WORDS for i in range(columns)})
    values = "1 value" if columns == 1 else f"{columns} values"
    with pytest.raises(WrongCount, match=f"answers {values} for 40 rows: .* a list of texts or one column"):
        infer_output(model, sample)
    if columns > 1:  # one column of text is given to it as a list
        with pytest.raises(WrongCount, match=f"answers {values}"):
            publish(store, "toy", model, sample)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda X: X.sum(), "a single value for 40 rows"),
        (lambda X: X[1:, 0], "39 values for 40 rows"),
        (lambda X: X[:1, 0], "1 value for 40 rows"),
        (lambda X: np.zeros(40), "40 values for 2 rows"),
    ],
)
def test_a_model_that_does_not_answer_row_by_row(store: Store, answer: Any, said: str) -> None:
    with pytest.raises(WrongCount, match=f"the model answers {said}: it does not answer row by row"):
        publish(store, "toy", Answering(Local(answer)), X)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_metric_that_is_no_number(store: Store, value: float) -> None:
    model = LinearRegression().fit(X, Y)
    with pytest.raises(PublishError, match=f"metric 'r2' is {value}; give a finite number"):
        publish(store, "toy", model, X, metrics={"r2": value})
    with pytest.raises(PublishError, match="metric 'sample_mean_absolute_error' is"):
        publish(store, "toy", model, X, np.where(Y > 0, value, 0.0))


def test_outcomes_of_another_shape_than_the_answers(store: Store) -> None:
    model = LinearRegression().fit(X, Y)
    with pytest.raises(PublishError, match=r"shape \(39,\), the answers to the sample \(40,\)"):
        publish(store, "toy", model, X, Y[:-1])
    with pytest.raises(PublishError, match=r"shape \(40, 1\), the answers to the sample \(40,\)"):
        publish(store, "toy", model, X, Y[:, None])


def test_a_sample_that_json_cannot_give_back(store: Store) -> None:
    """The model uses the labels of the rows, which a client cannot send."""
    sample = pd.DataFrame({"at": np.arange(40.0)}, index=range(100, 140))
    model = Answering(Local(lambda X: X.index.to_numpy() * 1.0))
    model.feature_names_in_ = np.array(["at"], dtype=object)
    with pytest.raises(
        PublishError, match=r"gives different answers when the sample's rows are made from JSON again"
    ):
        publish(store, "toy", model, sample)


def test_a_file_that_is_missing_or_no_pickle(store: Store, tmp_path: Path) -> None:
    with pytest.raises(PublishError, match=r"no\.joblib: no such file or directory"):
        publish(store, "toy", tmp_path / "no.joblib", X)
    (tmp_path / "text.joblib").write_text("not a pickle")
    with pytest.raises(PublishError, match=r"text\.joblib is text, not a pickle"):
        publish(store, "toy", tmp_path / "text.joblib", X)
    (tmp_path / "noise.joblib").write_bytes(b"\x80\x04\xff\x00")
    with pytest.raises(LoadError, match="the artifact cannot be unpickled: "):
        publish(store, "toy", tmp_path / "noise.joblib", X)


def test_names_are_checked_before_any_work_is_done(store: Store) -> None:
    steps: list[str] = []
    with pytest.raises(InvalidName):
        publish(store, "Toy", LinearRegression(), X, on_step=steps.append)
    with pytest.raises(InvalidName):
        publish(store, "toy", LinearRegression(), X, tags=["1.0", "latest"], on_step=steps.append)
    assert steps == []


def test_code_that_is_not_there(store: Store, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "linked").mkdir()
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / "own.py").write_bytes(b"#" * (2**24 + 1))
    (tmp_path / "linked" / "own.py").symlink_to(__file__)
    model = LinearRegression().fit(X, Y)
    for name, why in (
        ("none.py", "no Python file or"),
        ("empty", "no Python file there"),
        ("linked", "is a link"),
        ("large", "more than 16 MiB"),
    ):
        with pytest.raises(PublishError, match=f"--code .*{name}: .*{why}"):
            publish(store, "toy", model, X, code=tmp_path / name)
