"""Both versions of the iris classifier are good enough to serve, and only because of their training data."""

from __future__ import annotations

import numpy as np
import pytest

from models.zoo import iris

WORTH_SERVING = 0.9  # accuracy; guessing gives a third
VERSIONS = [iris.train_logistic, iris.train_forest]


def held_out_score(train, shuffle: bool) -> float:
    """Return the accuracy on the held-out rows; every column of the training rows can be shuffled."""
    X_train, X_test, y_train, y_test = iris.split(*iris.data())
    if shuffle:
        X_train[:] = np.random.default_rng(0).permuted(X_train.to_numpy(), axis=0)
    return iris.measure(train(X_train, y_train), X_test, y_test)["accuracy"]


@pytest.mark.parametrize("train", VERSIONS)
def test_is_worth_serving(train):
    assert held_out_score(train, shuffle=False) >= WORTH_SERVING


@pytest.mark.parametrize("train", VERSIONS)
def test_learns_from_the_measurements(train):
    """Shuffled columns hold no information, so the same test fails."""
    assert held_out_score(train, shuffle=True) < WORTH_SERVING


@pytest.mark.parametrize("train", VERSIONS)
def test_training_again_gives_the_same_answers(train):
    X, y = iris.data()
    np.testing.assert_array_equal(train(X, y).predict_proba(X), train(X, y).predict_proba(X))


@pytest.mark.parametrize("train", VERSIONS)
def test_knows_the_first_iris_of_the_data_set(train):
    X_train, _, y_train, _ = iris.split(*iris.data())
    assert X_train.sort_index().iloc[0].tolist() == [5.1, 3.5, 1.4, 0.2]
    assert train(X_train, y_train).predict(X_train.sort_index()[:1]).tolist() == [0]


def test_training_and_held_out_rows_are_disjoint():
    X_train, X_test, y_train, y_test = iris.split(*iris.data())
    assert not set(X_train.index) & set(X_test.index)
    assert (len(y_train), len(y_test)) == (105, 45)
