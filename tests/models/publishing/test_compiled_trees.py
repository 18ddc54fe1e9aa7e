"""Compiled trees give scikit-learn's answers for every ensemble, every scaler before it, and every awkward
number.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from models.errors import PredictError
from models.publishing import publish
from models.publishing.compiling import choice
from models.publishing.compiling.trees import is_bit_exact
from models.record import Record
from models.runtimes.compiled_runtime import CompiledRuntime
from models.runtimes.loading import load_version
from models.sameness import largest_difference, same_answers
from models.store import Store

pytestmark = pytest.mark.usefixtures("compiler")

RNG = np.random.default_rng(3)
X = RNG.normal(size=(200, 4)).round(2)
NUMBER = X[:, 0] + X[:, 1] * X[:, 2]
TWO = (NUMBER > 0).astype(int)
THREE = np.digitize(NUMBER, [-0.5, 0.5])
WORDS = np.array(["low", "middle", "high"])[THREE]


@pytest.fixture(scope="module", autouse=True)
def however_fast() -> Iterator[None]:
    """Keep forms of small models although they are hardly faster on a busy machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "WORTHWHILE", 0.0)
        yield


def published(store: Store, model: Any, rows: np.ndarray = X) -> Record:
    version = publish(store, "toy", model, rows, compile="treelite")
    assert version.manifest.compiled["form"] == "treelite", version.manifest.compiled["why"]
    return version


def compiled(version: Record) -> CompiledRuntime:
    runtime = load_version(version)
    assert isinstance(runtime, CompiledRuntime)
    return runtime


CASES: list[tuple[Any, Any]] = [
    (RandomForestClassifier(7, random_state=0), TWO),
    (RandomForestClassifier(7, random_state=0), WORDS),
    (RandomForestRegressor(5, random_state=0), np.column_stack([NUMBER, TWO])),
    (ExtraTreesRegressor(5, random_state=0), NUMBER),
    (GradientBoostingClassifier(n_estimators=5), TWO),
    (GradientBoostingClassifier(n_estimators=5), THREE),
    (GradientBoostingRegressor(n_estimators=5), NUMBER),
    (HistGradientBoostingClassifier(max_iter=5), TWO > 0),
    (HistGradientBoostingClassifier(max_iter=5), THREE),
    (HistGradientBoostingRegressor(max_iter=5), NUMBER),
    (DecisionTreeClassifier(max_depth=4), WORDS),
    (DecisionTreeRegressor(), np.column_stack([NUMBER, TWO])),
    (make_pipeline(StandardScaler(), RandomForestClassifier(5, random_state=0)), THREE),
    (
        make_pipeline(
            StandardScaler(with_mean=False),
            RobustScaler(with_centering=False),
            StandardScaler(with_std=False),
            ExtraTreesRegressor(3, random_state=0),
        ),
        NUMBER,
    ),
    (
        make_pipeline(
            MinMaxScaler(), RobustScaler(), "passthrough", MaxAbsScaler(), GradientBoostingRegressor()
        ),
        NUMBER,
    ),
]


@pytest.mark.parametrize(("model", "y"), CASES, ids=lambda value: type(value).__name__)
def test_an_ensemble_answers_as_it_does_in_scikit_learn(store: Store, model: Any, y: np.ndarray) -> None:
    version = published(store, model.fit(X, y))
    rows = np.concatenate([X, RNG.normal(size=(2000, 4)), RNG.normal(size=(20, 4)) * 1e30])
    expected, found = (
        load_version(version, original=True).predict(rows, {}),
        compiled(version).predict(rows, {}),
    )
    assert same_answers(expected, found)
    assert found.values.tolist() == expected.values.tolist() or y.dtype.kind == "f"


def test_a_forest_gives_every_bit(store: Store) -> None:
    version = published(store, RandomForestClassifier(30, random_state=0).fit(X, THREE))
    assert version.manifest.compiled["bit_exact"] is True
    rows = RNG.normal(size=(3000, 4))
    expected, found = (
        load_version(version, original=True).predict(rows, {}),
        compiled(version).predict(rows, {}),
    )
    assert expected.probabilities is not None and found.probabilities is not None
    assert np.array_equal(expected.probabilities, found.probabilities)


@pytest.mark.parametrize("depth", [1, 2, 3, 6, None])
def test_a_forest_of_mixed_leaves_claims_every_bit_only_where_it_gives_it(store: Store, depth: int) -> None:
    model = RandomForestClassifier(9, max_depth=depth, class_weight="balanced_subsample", random_state=0)
    version = published(store, model.fit(X, THREE))
    rows = RNG.normal(size=(3000, 4))
    expected, found = (
        load_version(version, original=True).predict(rows, {}),
        compiled(version).predict(rows, {}),
    )
    assert found.values.tolist() == expected.values.tolist()
    if version.manifest.compiled["bit_exact"]:
        assert largest_difference(expected, found) == 0.0


def test_what_claims_every_bit() -> None:
    pure = RandomForestClassifier(5, random_state=0).fit(X, THREE)
    assert is_bit_exact(make_pipeline(StandardScaler(), pure)) and is_bit_exact(pure)
    mixed = RandomForestClassifier(200, max_depth=4, class_weight="balanced", random_state=0)
    assert not is_bit_exact(mixed.fit(X, THREE))
    assert not is_bit_exact(HistGradientBoostingClassifier(max_iter=1).fit(X, TWO))
    assert not is_bit_exact(RandomForestRegressor(2).fit(X, NUMBER)), "it has no labels"


def test_a_number_whose_low_half_is_all_ones_is_no_missing_value(store: Store) -> None:
    """tl2cgen's own union takes it for a missing value."""
    whole = RNG.integers(0, 10, size=(200, 2)).astype(float)
    model = HistGradientBoostingRegressor(max_iter=5).fit(whole, whole[:, 0])
    below = np.nextafter(np.arange(10) + 0.5, 0)
    assert (below.view(np.uint32)[::2] == 0xFFFFFFFF).all()
    rows = np.column_stack([below, below])
    found = compiled(published(store, model, whole)).predict(rows, {})
    assert found.values == pytest.approx(model.predict(rows), abs=1e-12)


def test_rows_are_rounded_where_scikit_learn_rounds_them(store: Store) -> None:
    """A forest and a histogram differ between a threshold and its neighbour in float32."""
    forest = RandomForestRegressor(5, random_state=0).fit(X, NUMBER)
    runtime = compiled(published(store, forest))
    edges = np.unique(np.concatenate([tree.tree_.threshold for tree in forest.estimators_]))
    for rows in (np.nextafter(edges, -9), edges, np.nextafter(edges, 9)):
        square = np.column_stack([rows] * 4)
        assert runtime.predict(square, {}).values.tolist() == forest.predict(square).tolist()


def test_missing_values_are_answered_where_the_model_takes_them(store: Store) -> None:
    holes = np.where(RNG.random(X.shape) < 0.2, np.nan, X)
    for model in (
        HistGradientBoostingClassifier(max_iter=5),
        RandomForestClassifier(5, random_state=0),
        make_pipeline(SimpleImputer(), GradientBoostingClassifier(n_estimators=5)),
    ):
        version = published(store, model.fit(holes, TWO), holes)
        assert same_answers(
            load_version(version, original=True).predict(holes, {}), compiled(version).predict(holes, {})
        )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_what_no_model_takes_is_refused_with_its_row(store: Store, value: float) -> None:
    runtime = compiled(published(store, RandomForestClassifier(3, random_state=0).fit(X, TWO)))
    with pytest.raises(PredictError, match="row 1 has a value that is missing, infinite or too large"):
        runtime.predict(np.array([[0.0] * 4, [0.0, value, 0.0, 0.0]]), {})


def test_rows_of_another_width_never_reach_the_library(store: Store) -> None:
    runtime = compiled(published(store, RandomForestClassifier(3, random_state=0).fit(X, TWO)))
    with pytest.raises(PredictError, match=r"rows of shape \(1, 3\) where \(n_rows, 4\) is expected"):
        runtime.predict(np.zeros((1, 3)), {})


def test_each_library_answers_for_itself(store: Store) -> None:
    """The linker returns an open library for a known path, even if the path holds another library by then."""
    models = [RandomForestRegressor(2, random_state=seed).fit(X, NUMBER * (seed + 1)) for seed in range(3)]
    versions = [published(store, model) for model in models]
    expected = [model.predict(X[:5]).tolist() for model in models]
    open_at_once = [compiled(version) for version in versions]
    assert [runtime.predict(X[:5], {}).values.tolist() for runtime in open_at_once] == expected
    for runtime in open_at_once:
        runtime.close()
    for version, values in zip(versions, expected, strict=True):
        runtime = compiled(version)
        assert runtime.predict(X[:5], {}).values.tolist() == values
        runtime.close()


def test_rows_come_in_any_layout(store: Store) -> None:
    forest = RandomForestRegressor(3, random_state=0).fit(X, NUMBER)
    runtime = compiled(published(store, forest))
    for rows in (np.asfortranarray(X), X[::2], X.astype(np.float32), X[:0]):
        expected = forest.predict(rows).tolist() if len(rows) else []
        assert runtime.predict(rows, {}).values.tolist() == expected
