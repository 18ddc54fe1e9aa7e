"""The stock forecast's intervals have the promised coverage, and only because of the history that it
knows.
"""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import numpy as np
import pytest

from models.zoo import stock

#: The share of held-out days that a 95 % interval has to cover.
LOWEST, HIGHEST = 0.90, 0.98


def held_out_score(shuffle: bool) -> float:
    """Return the coverage of 95 % intervals on held-out days; earlier closes can be shuffled over the
    days.
    """
    days, prices = stock.data()
    early, _ = stock.split(prices)
    if shuffle:
        early = np.random.default_rng(0).permuted(early, axis=0)
    return stock.backtest(stock.train(early), days, prices)["coverage"]


@pytest.fixture(scope="module")
def history():
    return stock.data()


@pytest.fixture(scope="module")
def forecaster(history):
    _, prices = history
    return stock.forecast(stock.train(prices), prices, stock.LAST_DAY)


def ask(*tickers: str) -> np.ndarray:
    return np.array([[ticker] for ticker in tickers], dtype=object)


def widths(records: list[dict]) -> list[float]:
    return [r["confidence_upper"] - r["confidence_lower"] for r in records]


def test_is_worth_serving():
    assert LOWEST <= held_out_score(shuffle=False) <= HIGHEST


def test_learns_from_the_order_of_the_closes():
    """Shuffled closes do not show how prices move, so the same test fails."""
    assert not LOWEST <= held_out_score(shuffle=True) <= HIGHEST


@pytest.mark.parametrize("confidence", [0.8, 0.9, 0.99])
def test_other_intervals_cover_about_their_share(history, confidence):
    days, prices = history
    early, _ = stock.split(prices)
    covered = stock.backtest(stock.train(early), days, prices, confidence)["coverage"]
    assert covered == pytest.approx(confidence, abs=0.04)


def test_held_out_days_are_not_trained_on(history):
    _, prices = history
    early, late = stock.split(prices)
    assert len(late) == stock.HELD_OUT_DAYS
    np.testing.assert_array_equal(np.vstack((early, late)), prices)


def test_training_again_gives_the_same_answers(forecaster):
    _, prices = stock.data()
    again = stock.forecast(stock.train(prices), prices, stock.LAST_DAY)
    rows = ask(*stock.TICKERS)
    assert again.predict(rows, days_ahead=30) == forecaster.predict(rows, days_ahead=30)


def test_a_ticker_is_answered_alone_as_in_company(forecaster):
    tickers = ("AAPL", "PLUMBLINE", "AAPL", "CORALINE")
    together = forecaster.predict(ask(*tickers), days_ahead=30, confidence_interval=0.9)
    alone = [forecaster.predict(ask(t), days_ahead=30, confidence_interval=0.9)[0] for t in tickers]
    assert together == alone


def test_knows_aapl_and_nine_more_of_one_to_ten_characters(forecaster):
    (ticker,) = forecaster.signature.columns
    assert len(ticker.values) == 10
    assert "AAPL" in ticker.values
    assert all(1 <= len(value) <= 10 for value in ticker.values)


def test_dates_are_the_business_days_after_the_training_data(forecaster):
    (records,) = forecaster.predict(ask("AAPL"), days_ahead=30)
    dates = [date.fromisoformat(r["date"]) for r in records]
    assert [d.isoformat() for d in dates[:3]] == ["2026-01-01", "2026-01-02", "2026-01-05"]
    assert all(d.weekday() < 5 for d in dates)
    assert dates == sorted(set(dates))
    assert len(dates) == 30


def test_shorter_forecasts_are_the_first_days_of_longer_ones(forecaster):
    (month,) = forecaster.predict(ask("AAPL"), days_ahead=30)
    assert forecaster.predict(ask("AAPL"), days_ahead=7) == [month[:7]]
    assert forecaster.predict(ask("AAPL")) == [month[:1]]


@pytest.mark.parametrize("ticker", stock.TICKERS)
def test_intervals_widen_with_confidence_and_with_the_days(forecaster, ticker):
    by_confidence = [
        widths(forecaster.predict(ask(ticker), days_ahead=30, confidence_interval=c)[0])
        for c in (0.8, 0.85, 0.9, 0.95, 0.99)
    ]
    for narrow, wide in pairwise(by_confidence):
        assert all(n < w for n, w in zip(narrow, wide, strict=True))
    for of_days in by_confidence:
        assert of_days == sorted(of_days)


def test_the_forecast_lies_within_its_interval(forecaster):
    for records in forecaster.predict(ask(*stock.TICKERS), days_ahead=30, confidence_interval=0.8):
        for r in records:
            assert 0 < r["confidence_lower"] < r["predicted_price"] < r["confidence_upper"]


def test_restless_series_have_wider_intervals_than_calm_ones(forecaster):
    calm, restless = (
        widths(records)[-1] / records[-1]["predicted_price"]
        for records in forecaster.predict(ask("FERNBANK", "LANTERNE"), days_ahead=30)
    )
    assert restless > 2 * calm


def test_records_are_as_declared_but_for_the_version(forecaster):
    output = forecaster.signature.output
    ((record,),) = forecaster.predict(ask("AAPL"))
    assert output.version_column == "model_version"
    assert [*record, "model_version"] == [column.name for column in output.columns]
    assert forecaster.signature.bare
