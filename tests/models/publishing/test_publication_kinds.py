"""Each kind of estimator and label is published with the output that it really has, and served with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from models.publishing import publish
from models.runtimes.loading import load_version
from models.signature import Output
from models.store import Store

X = np.random.default_rng(3).normal(size=(60, 3)).round(3)
SIDE = (X[:, 0] > 0).astype(int)


class Ratio(BaseEstimator, TransformerMixin):
    """A transformer that uses the names of its columns and does not record them, like many in practice."""

    def fit(self, X: Any, y: Any = None) -> Ratio:
        self.fitted_ = True
        return self

    def transform(self, X: Any) -> Any:
        return (X["debt"] / X["income"]).to_numpy()[:, None]


@pytest.mark.parametrize(
    ("model", "y", "output", "metric"),
    [
        (LinearRegression(), X[:, 0], Output("number"), "sample_mean_absolute_error"),
        (RandomForestRegressor(3), X[:, 0], Output("number"), "sample_mean_absolute_error"),
        (DecisionTreeRegressor(), SIDE, Output("number"), "sample_mean_absolute_error"),
        (
            TransformedTargetRegressor(LinearRegression()),
            X[:, 0],
            Output("number"),
            "sample_mean_absolute_error",
        ),
        (LinearRegression(), X[:, :2], Output("vector", size=2), "sample_mean_absolute_error"),
        (IsolationForest(n_estimators=5), SIDE, Output("number"), "sample_mean_absolute_error"),
        (LogisticRegression(), SIDE, Output("class", (0, 1), probability=True), "sample_accuracy"),
        (LogisticRegression(), SIDE > 0, Output("class", (False, True), probability=True), "sample_accuracy"),
        (LogisticRegression(), SIDE * 1.0, Output("class", (0.0, 1.0), probability=True), "sample_accuracy"),
        (
            LogisticRegression(),
            np.array(["no", "yes"])[SIDE],
            Output("class", ("no", "yes"), probability=True),
            "sample_accuracy",
        ),
        (
            DecisionTreeClassifier(),
            np.array(["no", "yes"], dtype=object)[SIDE],
            Output("class", ("no", "yes"), probability=True),
            "sample_accuracy",
        ),
        (RidgeClassifier(), SIDE, Output("class", (0, 1)), "sample_accuracy"),
        (SVC(), SIDE, Output("class", (0, 1)), "sample_accuracy"),
        (
            GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2]}, cv=2),
            SIDE,
            Output("class", (0, 1), probability=True),
            "sample_accuracy",
        ),
    ],
)
def test_the_output_is_what_the_estimator_answers(
    store: Store, model: Any, y: np.ndarray, output: Output, metric: str
) -> None:
    version = publish(store, "toy", model.fit(X, y), X, y)
    assert version.manifest.signature.output == output
    assert list(version.manifest.metrics) == [metric]
    answers = load_version(version).predict(X[:1], {})
    assert answers.values.tolist() == model.predict(X[:1]).tolist()
    assert (answers.probabilities is not None) is output.probability
    if answers.probabilities is not None:
        assert np.array_equal(answers.probabilities, model.predict_proba(X[:1]))


@pytest.mark.parametrize("dtype", ["str", "object", "category"])
def test_missing_text_is_what_it_was_in_training(store: Store, dtype: str) -> None:
    """NaN and None are two categories to an encoder, but a request can only send null."""
    sample = pd.DataFrame({"city": pd.Series(["Bern", "Zug", np.nan] * 20, dtype=dtype), "size": X[:, 0]})
    columns = ColumnTransformer([("city", OneHotEncoder(), ["city"]), ("size", "passthrough", ["size"])])
    model = make_pipeline(columns, LogisticRegression()).fit(sample, SIDE)
    version = publish(store, "toy", model, sample)
    (city, _) = version.manifest.signature.columns
    assert (city.dtype, city.values, city.nullable) == ("category", ("Bern", "Zug"), True)
    answers = load_version(version).predict(np.array([[None, 0.25]], dtype=object), {})
    expected = model.predict_proba(
        pd.DataFrame({"city": pd.Series([np.nan], dtype=sample["city"].dtype), "size": [0.25]})
    )
    assert answers.probabilities is not None
    assert np.array_equal(answers.probabilities, expected)


def test_missing_text_in_an_array_is_nan_too(store: Store) -> None:
    sample = np.array([["Bern", 1.0], ["Zug", 2.0], [np.nan, 3.0]] * 20, dtype=object)
    model = make_pipeline(ColumnTransformer([("city", OneHotEncoder(), [0])]), LogisticRegression()).fit(
        sample, SIDE
    )
    answers = load_version(publish(store, "toy", model, sample)).predict(
        np.array([[None, 0.5]], dtype=object), {}
    )
    assert answers.probabilities is not None
    assert np.array_equal(answers.probabilities, model.predict_proba(sample[2:3]))


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "boolean"])
def test_missing_numbers_are_taken_in_every_form_of_pandas(store: Store, dtype: str) -> None:
    sample = pd.DataFrame({"n": pd.array([0, 1, None] * 20, dtype=dtype), "size": X[:, 0]})
    model = HistGradientBoostingClassifier(max_iter=2).fit(sample, SIDE)
    version = publish(store, "toy", model, sample)
    assert version.manifest.signature.columns[0].nullable
    answers = load_version(version).predict(np.array([[np.nan, 0.25]]), {})
    expected = model.predict_proba(pd.DataFrame({"n": pd.array([None], dtype=dtype), "size": [0.25]}))
    assert answers.probabilities is not None
    assert np.array_equal(answers.probabilities, expected)


def test_single_precision_columns_keep_their_precision(store: Store) -> None:
    sample = pd.DataFrame(X, columns=["a", "b", "c"]).astype("float32")
    model = LinearRegression().fit(sample, SIDE)
    answers = load_version(publish(store, "toy", model, sample)).predict(
        sample.to_numpy()[:1].astype(float), {}
    )
    assert answers.values.tolist() == model.predict(sample[:1]).tolist()


def test_categories_of_numbers_are_served_as_numbers(store: Store) -> None:
    sample = pd.DataFrame({"size": pd.Categorical([1, 2, 3] * 20, categories=[3, 2, 1]), "x": X[:, 0]})
    model = HistGradientBoostingClassifier(max_iter=2, categorical_features="from_dtype").fit(sample, SIDE)
    version = publish(store, "toy", model, sample)
    assert version.manifest.signature.columns[0].values == (3, 2, 1)
    assert version.manifest.example["request"] == {"size": 1, "x": X[0, 0]}
    answers = load_version(version).predict(np.array([[2, 0.25]], dtype=object), {})
    assert answers.probabilities is not None
    assert np.array_equal(answers.probabilities, model.predict_proba(sample[:2].assign(x=0.25))[1:])


def test_dates_go_in_as_text_and_reach_the_estimator_as_dates(store: Store) -> None:
    days = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=60)})
    model = make_pipeline(Weekday(), DecisionTreeRegressor()).fit(days, days["day"].dt.day_of_week)
    version = publish(store, "toy", model, days)
    assert version.manifest.example["request"] == {"day": "2024-01-01"}
    rows = np.array([["2024-01-06"], ["2024-01-08"]], dtype=object)
    assert load_version(version).predict(rows, {}).values.tolist() == [5.0, 0.0]


class Weekday(BaseEstimator, TransformerMixin):
    def fit(self, X: Any, y: Any = None) -> Weekday:
        self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        return self

    def transform(self, X: Any) -> Any:
        return X["day"].dt.day_of_week.to_numpy()[:, None]


def test_a_transformer_that_uses_names_without_recording_them_gets_a_frame(store: Store) -> None:
    sample = pd.DataFrame({"debt": X[:, 0], "income": abs(X[:, 1]) + 1})
    model = make_pipeline(Ratio(), SimpleImputer(), LinearRegression()).fit(sample, SIDE)
    version = publish(store, "toy", model, sample)
    assert [c.name for c in version.manifest.signature.columns] == ["debt", "income"]
    assert version.manifest.signature.named
    answers = load_version(version).predict(sample.to_numpy()[:1], {})
    assert answers.values.tolist() == model.predict(sample[:1]).tolist()


def test_golden_rows_with_missing_values_are_the_same_after_json(store: Store) -> None:
    sample = np.where(X > 1, np.nan, X)
    version = publish(store, "toy", HistGradientBoostingClassifier(max_iter=2).fit(sample, SIDE), sample)
    golden = version.golden
    assert np.isnan(golden.rows).any()
    assert golden.holds(load_version(version))
