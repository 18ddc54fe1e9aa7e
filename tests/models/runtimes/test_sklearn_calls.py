"""A shorter call of an estimator is used only if it gives the same bits as the plain call."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeClassifier,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from models.outputs import Outputs
from models.publishing import publish
from models.runtimes.sklearn_bodies import body_of
from models.runtimes.sklearn_calls import plain, same_bits, shorter
from models.runtimes.sklearn_names import public_name
from models.signature import Output
from models.store import Store
from tests.toys import remember

#: What is asked for decides how an estimator is called; which classes there are does not.
CHANCES, LABEL, NUMBER = Output("class", probability=True), Output("class"), Output("number")
X, Y = load_iris(return_X_y=True)
TEXT = np.array(["red", "green", "blue"])[Y]
TWO = (Y == 1).astype(bool)
DIGITS, DIGIT = load_digits(return_X_y=True)
NUMBERS, TARGET = load_diabetes(return_X_y=True)


def few(kind: Any, **more: Any) -> Any:
    return kind(n_estimators=12, random_state=0, **more)


CLASSIFIERS = [
    LogisticRegression(max_iter=1000),
    DecisionTreeClassifier(random_state=0),
    few(RandomForestClassifier),
    few(RandomForestClassifier, max_depth=2, bootstrap=False),
    few(ExtraTreesClassifier),
    few(GradientBoostingClassifier),
    HistGradientBoostingClassifier(max_iter=12, random_state=0),
    GaussianNB(),
    MLPClassifier((4,), max_iter=30, random_state=0),
    make_pipeline(StandardScaler(), LogisticRegression()),
    make_pipeline(SimpleImputer(), "passthrough", few(RandomForestClassifier)),
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("y", [Y, TEXT, TWO], ids=["numbers", "text", "two"])
@pytest.mark.parametrize("model", CLASSIFIERS, ids=lambda m: type(m).__name__)
def test_a_classifier_answers_the_same_bits(model: Any, y: np.ndarray) -> None:
    model.fit(X, y)
    short, long = shorter(model, CHANCES), plain(model, CHANCES)
    assert short is not None
    for rows in (X, X[:1], X[70:71] + 0.01, X * 1.07):
        assert same_bits(long(rows), short(rows))


REGRESSORS = [
    few(RandomForestRegressor),
    few(ExtraTreesRegressor),
    HistGradientBoostingRegressor(max_iter=12, random_state=0),
    HistGradientBoostingRegressor(max_iter=12, random_state=0, loss="poisson"),
    LinearRegression(),
    Ridge(),
    Lasso(0.1),
    ElasticNet(0.01),
    make_pipeline(StandardScaler(), Ridge()),
    make_pipeline(MinMaxScaler(), LinearRegression()),
]


@pytest.mark.parametrize("model", REGRESSORS, ids=lambda m: type(m).__name__)
def test_a_regressor_answers_the_same_bits(model: Any) -> None:
    model.fit(NUMBERS, TARGET)
    short = shorter(model, NUMBER)
    assert short is not None
    for rows in (NUMBERS, NUMBERS[:1], NUMBERS[::-3]):
        assert same_bits(plain(model, NUMBER)(rows), short(rows))


@pytest.mark.parametrize(
    "model",
    [few(RandomForestClassifier), HistGradientBoostingClassifier(max_iter=20, random_state=0)],
    ids=lambda m: type(m).__name__,
)
def test_a_row_has_the_same_bits_wherever_it_stands(model: Any) -> None:
    """Trees get many rows in sorted order."""
    model.fit(DIGITS, DIGIT)
    short = shorter(model, CHANCES)
    assert short is not None
    rows = DIGITS[:600].copy()
    if type(model) is HistGradientBoostingClassifier:
        rows[np.random.default_rng(0).random(rows.shape) < 0.05] = np.nan
    answers, order = short(rows), np.random.default_rng(1).permutation(len(rows))
    assert same_bits(plain(model, CHANCES)(rows), answers)
    assert answers.probabilities is not None
    assert same_bits(Outputs(answers.values[order], answers.probabilities[order]), short(rows[order]))
    assert same_bits(Outputs(answers.values[7:8], answers.probabilities[7:8]), short(rows[7:8]))


@pytest.mark.parametrize("model", [*CLASSIFIERS[:7], CLASSIFIERS[-2]], ids=lambda m: type(m).__name__)
def test_frames_and_other_types_are_left_to_the_estimator(model: Any) -> None:
    model.fit(X, Y)
    short, long = shorter(model, CHANCES), plain(model, CHANCES)
    assert short is not None
    for rows in (X.astype(np.float32), X.tolist()):
        assert same_bits(long(rows), short(rows))


def test_a_boosting_with_categories_is_asked_plainly_and_missing_values_are_not() -> None:
    holes = np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)
    plainly = HistGradientBoostingClassifier(max_iter=5, random_state=0).fit(holes, Y)
    assert same_bits(plain(plainly, CHANCES)(holes), shorter(plainly, CHANCES)(holes))  # type: ignore[misc]
    coded = np.column_stack([Y, X[:, 0]])
    model = HistGradientBoostingClassifier(max_iter=5, random_state=0, categorical_features=[0]).fit(coded, Y)
    assert body_of(model, "predict_proba") is None
    assert same_bits(plain(model, CHANCES)(coded), shorter(model, CHANCES)(coded))  # type: ignore[misc]


def test_a_tie_is_decided_by_the_estimator_itself() -> None:
    """Rounding may have changed the order of two equal or nearly equal probabilities."""

    class Torn:
        classes_ = np.array([0, 1])

        def predict_proba(self, rows: np.ndarray) -> np.ndarray:
            return np.array([[0.5, 0.5 + 1e-12 if row[0] else 0.5] for row in rows])

        def predict(self, rows: np.ndarray) -> np.ndarray:
            return np.ones(len(rows), dtype=int)

    from models.runtimes import sklearn_calls

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sklearn_calls, "LARGEST_BUT_FOR_TIES", frozenset({public_name(Torn)}))
        short = shorter(Torn(), CHANCES)
    assert short is not None
    assert short(np.zeros((2, 1))).values.tolist() == [1, 1]
    assert short(np.ones((2, 1))).values.tolist() == [1, 1]


@pytest.mark.parametrize("kind", [RandomForestClassifier, ExtraTreesClassifier])
def test_a_forest_decides_ties_as_it_always_does(kind: Any) -> None:
    """With two trees, nearly every doubtful row is a tie."""
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(400, 3)), rng.integers(3, size=400)
    model = kind(n_estimators=2, max_depth=3, random_state=0).fit(rows, labels)
    asked = rng.normal(size=(2000, 3))
    assert same_bits(plain(model, CHANCES)(asked), shorter(model, CHANCES)(asked))  # type: ignore[misc]


def test_many_classes_and_many_rows() -> None:
    model = few(RandomForestClassifier).fit(DIGITS, DIGIT)
    short = shorter(model, CHANCES)
    assert short is not None
    assert same_bits(plain(model, CHANCES)(DIGITS), short(DIGITS))


class Contrary(LogisticRegression):
    """A classifier whose label is not the class of the largest probability."""

    def predict(self, X: Any) -> Any:
        return self.classes_[self.predict_proba(X).argmin(axis=1)]


@pytest.mark.parametrize(
    ("model", "output"),
    [
        (SVC(), LABEL),
        (KNeighborsClassifier(), CHANCES),
        (RidgeClassifier(), LABEL),
        (Contrary(max_iter=1000), CHANCES),
        (few(RandomForestClassifier), LABEL),
    ],
    ids=["svc", "neighbours", "ridge", "subclass", "labels only"],
)
def test_what_is_not_known_is_asked_plainly(model: Any, output: Output) -> None:
    assert shorter(model.fit(X, Y), output) is None


def test_a_forest_of_many_outputs_is_asked_plainly() -> None:
    model = few(RandomForestRegressor).fit(NUMBERS, np.stack([TARGET, -TARGET], axis=1))
    assert shorter(model, NUMBER) is None


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("number", [np.inf, -np.inf, 1e39, np.nan])
def test_what_a_forest_refuses_or_takes_is_its_own_matter(number: float) -> None:
    """scikit-learn refuses numbers beyond float32, and a missing value unless the training data had one."""
    model = few(RandomForestClassifier).fit(X, Y)
    short, rows = shorter(model, CHANCES), X[:2].copy()
    assert short is not None
    rows[0, 0] = number
    try:
        expected: Outputs | str = plain(model, CHANCES)(rows)
    except ValueError as error:
        expected = str(error)
    if isinstance(expected, str):
        with pytest.raises(ValueError, match=r"infinity|NaN"):
            short(rows)
    else:
        assert same_bits(expected, short(rows))


def test_answers_are_compared_in_every_bit() -> None:
    one = Outputs(np.array([1.0, np.nan]), np.array([[0.5], [0.5]]))
    assert same_bits(one, Outputs(np.array([1.0, np.nan]), np.array([[0.5], [0.5]])))
    assert not same_bits(one, Outputs(np.array([1.0 + 2e-16, np.nan]), np.array([[0.5], [0.5]])))
    assert not same_bits(one, Outputs(np.array([1.0, np.nan]), None))
    assert not same_bits(Outputs(np.array([1])), Outputs(np.array([1.0])))


def test_a_published_forest_is_served_by_its_trees(tmp_path: Any) -> None:
    """The pipeline is called once for label and probabilities together, as its recording step shows."""
    from sklearn.preprocessing import FunctionTransformer

    from models.runtimes.loading import load_version
    from tests.toys import SEEN

    model = make_pipeline(FunctionTransformer(remember), few(RandomForestClassifier)).fit(X, Y)
    stored = publish(Store(tmp_path), "toy", model, X)
    runtime = load_version(stored)
    SEEN.clear()
    outputs = runtime.predict(X[:3], {})
    assert SEEN == [("ndarray", (3, 4))]
    assert same_bits(outputs, plain(model, CHANCES)(X[:3]))
