"""The facts that publishing finds and records about real estimators."""

from __future__ import annotations

import time
import warnings
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from models.outputs import Outputs
from models.publishing import publish
from models.record import Record
from models.runtimes.loading import load_version
from models.runtimes.sklearn_runtime import SklearnRuntime
from models.sameness import same_answers
from models.store import Store
from tests.toys import SEEN, remember

Iris = tuple[pd.DataFrame, pd.Series]


def served(version: Record) -> SklearnRuntime:
    runtime = load_version(version)
    assert isinstance(runtime, SklearnRuntime)
    return runtime


def recorded(version: Record, file: str) -> dict[str, Any]:
    data: dict[str, Any] = orjson.loads(version.read(file))
    return data


def scaled_regression() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression())


def mixed() -> tuple[pd.DataFrame, np.ndarray]:
    """Return numbers, missing values, integers and text, and a label that depends on them."""
    rng = np.random.default_rng(7)
    X = pd.DataFrame(
        {
            "age": rng.uniform(18, 80, 120),
            "income": np.where(rng.random(120) < 0.1, np.nan, rng.normal(3000, 500, 120)),
            "plot": rng.choice([100, 250, 600], 120),
            "city": rng.choice(["Bern", "Genf", "Zug"], 120),
        }
    )
    return X, (X["age"] > 45) ^ (X["city"] == "Zug")


def mixed_pipeline() -> Pipeline:
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = ColumnTransformer(
        [("numbers", numbers, ["age", "income", "plot"]), ("city", OneHotEncoder(), ["city"])]
    )
    return make_pipeline(FunctionTransformer(remember), columns, LogisticRegression())


def test_a_version_records_what_it_is(store: Store, iris: Iris) -> None:
    X, y = iris
    trained = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
    model = scaled_regression().fit(X, y)
    manifest = publish(
        store, "iris", model, X, y, metrics={"accuracy": 0.97}, description="three irises", trained_at=trained
    ).manifest
    assert (manifest.framework, manifest.estimator) == ("scikit-learn", "sklearn.pipeline.Pipeline")
    assert (manifest.trained_at, manifest.description) == ("2024-05-01T12:00:00Z", "three irises")
    assert manifest.metrics == {"accuracy": 0.97, "sample_accuracy": model.score(X, y)}
    assert {"python", "scikit-learn", "numpy", "scipy", "joblib"} == set(manifest.libraries)
    assert manifest.published_at > manifest.trained_at
    assert [c.name for c in manifest.signature.columns] == list(X.columns)
    output = manifest.signature.output
    assert (output.kind, output.classes, output.probability) == ("class", (0, 1, 2), True)


def test_the_example_is_a_request_and_the_reply_that_it_gets(store: Store, iris: Iris) -> None:
    X, y = iris
    model = scaled_regression().fit(X, y)
    example = publish(store, "iris", model, X).manifest.example
    assert example["request"] == {"features": X.iloc[0].tolist()}
    assert example["response"] == {
        "prediction": int(model.predict(X[:1])[0]),
        "probability": model.predict_proba(X[:1])[0].tolist(),
    }


def test_the_speed_of_1_8_and_64_rows_is_measured(store: Store, iris: Iris) -> None:
    X, y = iris
    measured = publish(store, "iris", scaled_regression().fit(X, y), X[:3]).manifest.measured_ms
    assert list(measured) == ["1", "8", "64"]
    assert all(0 < ms < 1000 for ms in measured.values())


def test_the_speed_is_that_of_the_call_that_serves(store: Store, iris: Iris) -> None:
    """A forest is served without the checks around its trees, which take most of the time of a plain call."""
    X, y = iris
    rows = X.to_numpy()
    model = RandomForestClassifier(100, random_state=0).fit(rows, y)
    measured = publish(store, "iris", model, rows).manifest.measured_ms
    plain = []
    for _ in range(5):
        began = time.perf_counter()
        model.predict(rows[:1])
        model.predict_proba(rows[:1])
        plain.append((time.perf_counter() - began) * 1000)
    assert measured["1"] < min(plain) / 3


def test_golden_rows_are_rows_of_the_data(store: Store, iris: Iris) -> None:
    X, y = iris
    version = publish(store, "iris", scaled_regression().fit(X, y), X)
    golden = version.golden
    data = set(map(tuple, X.to_numpy()))
    assert (len(golden.rows), version.manifest.golden_rows, version.manifest.golden_synthetic) == (
        64,
        64,
        False,
    )
    assert set(map(tuple, golden.rows)) <= data
    assert tuple(golden.rows[0]) == tuple(X.iloc[0])


def test_an_example_alone_is_varied_and_marked_so(store: Store, iris: Iris) -> None:
    X, y = iris
    version = publish(store, "iris", scaled_regression().fit(X, y), X[:1])
    golden = version.golden
    assert (len(golden.rows), version.manifest.golden_rows, version.manifest.golden_synthetic) == (
        32,
        32,
        True,
    )
    assert len({tuple(row) for row in golden.rows}) == 32
    assert np.allclose(golden.rows, golden.rows[0], rtol=0.6)


def test_variations_of_an_example_stay_inside_the_signature(store: Store) -> None:
    """An encoder that refuses unknown values would otherwise refuse them."""
    X, y = mixed()
    encode = ColumnTransformer([("all", OneHotEncoder(), ["plot", "city"])])
    version = publish(store, "homes", make_pipeline(encode, LogisticRegression()).fit(X, y), X[:1])
    rows = version.golden.rows
    columns = {c.name: c for c in version.manifest.signature.columns}
    assert set(rows[:, 2]) <= set(columns["plot"].values or ())
    assert set(rows[:, 3]) == {"Bern", "Genf", "Zug"}


def test_reference_statistics_describe_the_data(store: Store) -> None:
    X, y = mixed()
    reference = recorded(publish(store, "homes", mixed_pipeline().fit(X, y), X), "reference.json")
    found = {c["name"]: c for c in reference["columns"]}
    assert reference["rows"] == found["age"]["rows"] == 120
    assert found["income"]["missing"] == int(X["income"].isna().sum()) > 0
    assert found["age"]["quantiles"]["0.5"] == pytest.approx(X["age"].median())
    assert found["age"]["quantiles"]["1.0"] == X["age"].max()
    assert found["age"]["mean"] == pytest.approx(X["age"].mean())
    histogram = found["plot"]["histogram"]
    assert sum(histogram["counts"]) == 120
    assert (histogram["edges"][0], histogram["edges"][-1]) == (100, 600)
    assert found["city"]["counts"] == X["city"].value_counts().to_dict()


def test_reference_statistics_are_never_made_up(store: Store, iris: Iris) -> None:
    X, y = iris
    version = publish(store, "iris", scaled_regression().fit(X, y), X[:1])
    assert recorded(version, "reference.json") == {"rows": 0, "columns": []}
    assert [c.observed for c in version.manifest.signature.columns] == [None] * 4


def test_one_row_is_answered_bit_for_bit_as_by_the_estimator(store: Store, iris: Iris) -> None:
    X, y = iris
    rows = X.to_numpy()
    for model in (
        scaled_regression(),
        RandomForestClassifier(10, random_state=0),
        HistGradientBoostingClassifier(),
    ):
        runtime = served(publish(store, "iris", model.fit(rows, y), rows))
        for i in (0, 70, 149):
            outputs = runtime.predict(rows[i : i + 1], {})
            assert outputs.values.tolist() == model.predict(rows[i : i + 1]).tolist()
            assert outputs.probabilities is not None
            assert np.array_equal(outputs.probabilities, model.predict_proba(rows[i : i + 1]))


def test_a_model_of_named_numbers_is_called_with_an_array_and_without_a_warning(
    store: Store, iris: Iris
) -> None:
    X, y = iris
    model = scaled_regression().fit(X, y)
    version = publish(store, "iris", model, X)
    assert version.manifest.frame == ()
    runtime = served(version)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        outputs = runtime.predict(X.to_numpy()[:1], {})
    assert caught == []
    assert outputs.probabilities is not None
    assert np.array_equal(outputs.probabilities, model.predict_proba(X[:1]))


@pytest.mark.parametrize(
    "make",
    [
        lambda: make_pipeline(
            ColumnTransformer([("a", StandardScaler(), ["sepal width (cm)"])], remainder="passthrough"),
            LogisticRegression(max_iter=1000),
        ),
        lambda: scaled_regression().set_output(transform="pandas"),
    ],
    ids=["column transformer", "pandas inside"],
)
def test_named_numbers_that_need_their_names_keep_them(store: Store, iris: Iris, make: Any) -> None:
    X, y = iris
    model = make().fit(X, y)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        outputs = served(publish(store, "iris", model, X)).predict(X.to_numpy()[:1], {})
    assert caught == []
    assert outputs.probabilities is not None
    assert np.array_equal(outputs.probabilities, model.predict_proba(X[:1]))


def test_a_mixed_pipeline_gets_one_frame_a_call(store: Store) -> None:
    X, y = mixed()
    model = mixed_pipeline().fit(X, y)
    version = publish(store, "homes", model, X, y)
    assert dict(version.manifest.frame) == {name: str(dtype) for name, dtype in X.dtypes.items()}
    assert "pandas" in version.manifest.libraries
    runtime, rows = served(version), X.astype(object).where(X.notna(), None).to_numpy()
    SEEN.clear()
    outputs = runtime.predict(rows, {})
    assert set(SEEN) == {("DataFrame", (120, 4))}
    assert outputs.probabilities is not None
    assert np.array_equal(outputs.probabilities, model.predict_proba(X))
    assert np.array_equal(runtime.predict(rows[:1], {}).values, model.predict(X[:1]))


def test_an_estimator_is_served_with_one_thread_and_the_publisher_s_copy_is_left_alone(
    store: Store, iris: Iris
) -> None:
    X, y = iris
    model = GridSearchCV(RandomForestClassifier(5), {"max_depth": [2]}, cv=2).fit(X, y)
    expected = model.predict_proba(X)
    model.set_params(n_jobs=-1).best_estimator_.set_params(n_jobs=-1)
    runtime = served(publish(store, "iris", model, X))
    assert (runtime.model.n_jobs, runtime.model.best_estimator_.n_jobs) == (1, 1)
    assert (model.n_jobs, model.best_estimator_.n_jobs) == (-1, -1)
    assert same_answers(
        Outputs(model.classes_[expected.argmax(axis=1)], expected), runtime.predict(X.to_numpy(), {})
    )


def test_a_vector_of_outcomes_is_scored_like_a_single_one(store: Store, iris: Iris) -> None:
    X, y = iris
    targets = np.column_stack([y, 2 * y])
    manifest = publish(store, "iris", LinearRegression().fit(X, targets), X, targets).manifest
    assert (manifest.signature.output.kind, manifest.signature.output.size) == ("vector", 2)
    assert 0 < manifest.metrics["sample_mean_absolute_error"] < 1
    assert len(manifest.example["response"]["prediction"]) == 2


def test_steps_are_told_as_they_begin(store: Store, iris: Iris) -> None:
    X, y = iris
    steps: list[str] = []
    publish(store, "iris", scaled_regression().fit(X, y), X, on_step=steps.append)
    assert steps[0] == "reading the model"
    assert steps[-1] == "writing it to the store"
