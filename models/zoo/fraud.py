"""The demo model "fraud": whether a card payment is fraudulent, by gradient boosting over one transaction.

The most telling features (the amount relative to the customer's usual one, card and merchant in different
countries) are derived inside the pipeline. A client sends the plain facts, and serving cannot derive features
in another way than training did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from models.publishing import publish

if TYPE_CHECKING:
    from models.store import Store

NAME = "fraud"
SEED = 7
ROWS = 24_000
SAMPLE_ROWS = 2_000

COUNTRIES = ("AT", "DE", "ES", "FR", "GB", "IT", "NL", "PL", "US")
MERCHANTS = ("books", "clothing", "electronics", "fuel", "gift_cards", "groceries", "restaurant", "travel")
CHANNELS = ("chip", "contactless", "online", "phone")

#: The share of ordinary payments for each of COUNTRIES, MERCHANTS and CHANNELS.
_COUNTRY_SHARES = (0.08, 0.24, 0.10, 0.14, 0.14, 0.10, 0.08, 0.06, 0.06)
_MERCHANT_SHARES = (0.06, 0.12, 0.07, 0.12, 0.02, 0.36, 0.19, 0.06)
_CHANNEL_SHARES = (0.33, 0.34, 0.30, 0.03)

#: The amount that is usually spent at each of MERCHANTS, relative to the customer's usual amount.
_MERCHANT_SPEND = np.array([0.5, 1.3, 2.2, 1.1, 0.9, 0.8, 0.7, 3.0])


def data(n_rows: int = ROWS, seed: int = SEED) -> tuple[pd.DataFrame, np.ndarray]:
    """Return generated payments, (n_rows, 10), and whether each was fraud, int, (n_rows,); about 3 % are.

    ``amount`` and ``usual_amount`` (the customer's median) are in EUR, ``hour`` is the merchant's local hour
    from 0 to 23, ``payments_last_hour`` counts the card's other payments, and ``account_age_days`` is in
    days.

    Frauds are of three kinds: stolen cards that are spent fast on goods that sell again, card numbers that
    are tested with tiny amounts on young accounts, and accounts that are taken over from a new device. One
    fraud in eight looks like an ordinary payment, as in life.
    """
    rng = np.random.default_rng(seed)
    card = rng.choice(COUNTRIES, n_rows, p=_COUNTRY_SHARES)
    abroad = rng.random(n_rows) < 0.07
    merchant_at = rng.choice(len(MERCHANTS), n_rows, p=_MERCHANT_SHARES)
    usual = rng.lognormal(3.4, 0.7, n_rows)
    ratio = _MERCHANT_SPEND[merchant_at] * rng.lognormal(0.0, 0.6, n_rows)
    hour = np.where(rng.random(n_rows) < 0.06, rng.integers(0, 6, n_rows), _by_day(rng, n_rows))
    channel = rng.choice(CHANNELS, n_rows, p=_CHANNEL_SHARES)
    recent = rng.poisson(0.25, n_rows)
    age = rng.gamma(1.6, 600.0, n_rows)
    new_device = rng.random(n_rows) < 0.05

    fraud = rng.random(n_rows) < 0.03
    kind = np.where(fraud, rng.choice(4, n_rows, p=(0.40, 0.25, 0.225, 0.125)), -1)
    stolen, tested, taken_over = (kind == i for i in range(3))

    resale = np.array([MERCHANTS.index(m) for m in ("electronics", "gift_cards", "clothing", "travel")])
    merchant_at = np.where(
        stolen | taken_over, rng.choice(resale, n_rows, p=(0.5, 0.25, 0.15, 0.1)), merchant_at
    )
    ratio = np.where(stolen, rng.lognormal(1.6, 0.6, n_rows), ratio)
    ratio = np.where(tested, rng.uniform(0.01, 0.08, n_rows), ratio)
    ratio = np.where(taken_over, rng.lognormal(1.2, 0.5, n_rows), ratio)
    abroad |= (stolen & (rng.random(n_rows) < 0.6)) | (tested & (rng.random(n_rows) < 0.5))
    hour = np.where((stolen | taken_over) & (rng.random(n_rows) < 0.45), rng.integers(0, 6, n_rows), hour)
    recent = (
        recent + np.where(stolen, rng.poisson(1.2, n_rows), 0) + np.where(tested, rng.poisson(4.0, n_rows), 0)
    )
    channel = np.where(tested | taken_over, "online", channel)
    age = np.where(tested, 0.25 * age, age)
    new_device = new_device | (taken_over & (rng.random(n_rows) < 0.85))
    elsewhere = rng.choice(COUNTRIES, n_rows)

    frame = pd.DataFrame(
        {
            "amount": np.round(usual * ratio, 2),
            "usual_amount": np.round(usual, 2),
            "hour": hour,
            "payments_last_hour": recent,
            "account_age_days": age.astype(int),
            "new_device": new_device,
            "card_country": pd.Categorical(card, categories=COUNTRIES),
            "merchant_country": pd.Categorical(np.where(abroad, elsewhere, card), categories=COUNTRIES),
            "merchant_category": pd.Categorical(np.array(MERCHANTS)[merchant_at], categories=MERCHANTS),
            "channel": pd.Categorical(channel, categories=CHANNELS),
        }
    )
    return frame, fraud.astype(int)


def _by_day(rng: np.random.Generator, n_rows: int) -> np.ndarray:
    """Return shopping hours from 0 to 23, most of them in the afternoon; shape (n_rows,)."""
    return np.clip(rng.normal(15.0, 4.0, n_rows), 0, 23).astype(int)


def derive(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of ``frame`` and three more that follow from them, row by row."""
    card, merchant = (frame[c].to_numpy(dtype=object) for c in ("card_country", "merchant_country"))
    amount, usual = (frame[name].to_numpy().clip(min=0.0) for name in ("amount", "usual_amount"))
    ratio = np.log((amount + 0.01) / (usual + 0.01))
    night = frame["hour"].to_numpy() < 6
    return frame.assign(log_ratio=ratio, abroad=card != merchant, night=night)


def split(X: pd.DataFrame, y: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray, np.ndarray]:
    """Return (X_train, X_test, y_train, y_test): 75 % and 25 % of the rows with equal shares of fraud."""
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, stratify=y, random_state=SEED)
    return X_train, X_test, y_train, y_test


def train(X: pd.DataFrame, y: np.ndarray) -> Pipeline:
    """Fit the pipeline on payments as ``data`` returns them; y has shape (n_rows,), 1 for fraud."""
    boosting = HistGradientBoostingClassifier(
        max_iter=80,
        learning_rate=0.1,
        max_leaf_nodes=12,
        min_samples_leaf=40,
        l2_regularization=1.0,
        categorical_features="from_dtype",
        early_stopping=False,
        random_state=SEED,
    )
    return make_pipeline(FunctionTransformer(derive), boosting).fit(X, y)


def measure(model: Pipeline, X: pd.DataFrame, y: np.ndarray) -> dict[str, float]:
    """Return ranking (ROC AUC, average precision) and calibration (Brier score) on payments outside the
    training data.
    """
    probability = model.predict_proba(X)[:, 1]
    return {
        "roc_auc": float(roc_auc_score(y, probability)),
        "average_precision": float(average_precision_score(y, probability)),
        "brier_score": float(brier_score_loss(y, probability)),
    }


def publish_into(store: Store) -> None:
    """Publish the model that was fitted on the training part, so that the metrics belong to this artifact."""
    X_train, X_test, y_train, y_test = split(*data())
    model = train(X_train, y_train)
    publish(
        store,
        NAME,
        model,
        X_train[:SAMPLE_ROWS],
        metrics=measure(model, X_test, y_test),
        description="Whether a card payment is fraudulent (1) or not (0); amounts in EUR, generated data",
        tags=("1.0.0",),
    )
