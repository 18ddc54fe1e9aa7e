"""The fraud model ranks payments well enough to serve, and only because of its training data."""

from __future__ import annotations

import numpy as np
import pytest

from models.zoo import fraud

WORTH_SERVING = 0.9  # ROC AUC; guessing gives 0.5


def held_out_score(shuffle: bool) -> float:
    """Return ROC AUC on held-out payments; every column of the training payments can be shuffled."""
    X_train, X_test, y_train, y_test = fraud.split(*fraud.data())
    if shuffle:
        rng = np.random.default_rng(0)
        X_train = X_train.assign(
            **{name: X_train[name].array[rng.permutation(len(X_train))] for name in X_train}
        )
    return fraud.measure(fraud.train(X_train, y_train), X_test, y_test)["roc_auc"]


@pytest.fixture(scope="module")
def payments():
    return fraud.data(4_000)


def test_is_worth_serving():
    assert held_out_score(shuffle=False) >= WORTH_SERVING


def test_learns_from_the_payments():
    """Shuffled columns hold no information, so the same test fails."""
    assert held_out_score(shuffle=True) < WORTH_SERVING


def test_about_three_payments_in_a_hundred_are_fraud():
    assert 0.025 < fraud.data()[1].mean() < 0.035


def test_payments_mix_numbers_and_categories(payments):
    X, _ = payments
    kinds = X.dtypes.astype(str).value_counts()
    assert kinds["category"] == 4
    assert kinds["float64"] + kinds["int64"] == 5
    assert kinds["bool"] == 1
    assert X["hour"].between(0, 23).all()
    assert (X["amount"] >= 0).all()


def test_training_again_gives_the_same_answers(payments):
    X, y = payments
    again = fraud.train(*fraud.data(4_000))
    np.testing.assert_array_equal(fraud.train(X, y).predict_proba(X), again.predict_proba(X))


def test_a_payment_is_judged_alone_as_in_company(payments):
    X, y = payments
    model = fraud.train(X, y)
    alone = [model.predict_proba(X.iloc[i : i + 1])[0] for i in range(32)]
    np.testing.assert_array_equal(model.predict_proba(X[:32]), alone)


@pytest.mark.parametrize(
    ("facts", "column", "value"),
    [
        ({"card_country": "DE", "merchant_country": "US"}, "abroad", True),
        ({"card_country": "DE", "merchant_country": "DE"}, "abroad", False),
        ({"hour": 5}, "night", True),
        ({"hour": 6}, "night", False),
        ({"amount": 20.0, "usual_amount": 20.0}, "log_ratio", 0.0),
        ({"amount": 0.0, "usual_amount": 0.0}, "log_ratio", 0.0),
    ],
)
def test_what_tells_most_is_derived_inside_of_the_pipeline(payments, facts, column, value):
    X = payments[0][:1].copy()
    for name, fact in facts.items():
        X.loc[:, name] = fact
    assert fraud.derive(X)[column].tolist() == [value]
