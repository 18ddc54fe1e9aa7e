"""The demo model "stock": the price of a series in the next days, with an interval from its drift and
volatility.

All ten series are invented, that of AAPL too: the model shows how a forecast with intervals is served, and is
not investment advice. The forecast starts on the last day of the training data, not today, so the same
request always has the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from models.publishing import publish
from models.signature import Column, Output, Signature

if TYPE_CHECKING:
    from models.store import Store

NAME = "stock"
SEED = 3
SAMPLE_ROWS = 400
MAX_DAYS = 30

#: Ticker -> first price in USD, expected growth per year, volatility per year (standard deviation of log
#: returns). Tickers other than AAPL are longer than those of any exchange, so that they are not taken for
#: real ones.
TICKERS: dict[str, tuple[float, float, float]] = {
    "AAPL": (95.0, 0.10, 0.26),
    "BRIARWOOD": (41.0, 0.04, 0.15),
    "CORALINE": (12.5, 0.02, 0.48),
    "DUNEFIELD": (230.0, 0.07, 0.20),
    "EMBERLINE": (64.0, 0.00, 0.34),
    "FERNBANK": (27.0, 0.03, 0.12),
    "GLASSWAY": (150.0, 0.09, 0.40),
    "HOLLOWAY": (88.0, 0.05, 0.22),
    "LANTERNE": (7.8, -0.03, 0.58),
    "PLUMBLINE": (33.0, 0.12, 0.30),
}

FIRST_DAY = np.datetime64("2017-01-02", "D")
LAST_DAY = np.datetime64("2025-12-31", "D")
TRADING_DAYS_A_YEAR = 252
HELD_OUT_DAYS = 500

#: The decay of the estimate of the present variance (a day's weight is 1 - DECAY), and the part of its
#: distance to the long-run variance that remains after one more day.
DECAY, REVERSION = 0.94, 0.97

#: The probabilities of the stored quantiles; the outer ones belong to the widest interval, 0.99.
LEVELS = np.linspace(0.005, 0.995, 199)

SIGNATURE = Signature(
    columns=(
        Column("ticker", "string", "Series to forecast", min_length=1, max_length=10, values=tuple(TICKERS)),
    ),
    parameters=(
        Column(
            "days_ahead",
            "int",
            "How many business days",
            default=1,
            minimum=1,
            maximum=MAX_DAYS,
        ),
        Column(
            "confidence_interval",
            "float",
            "Probability that a price falls between confidence_lower and confidence_upper",
            default=0.95,
            minimum=0.8,
            maximum=0.99,
        ),
    ),
    output=Output(
        "records",
        columns=(
            Column("ticker", "string", "The series asked for"),
            Column("date", "date", f"A business day (Monday to Friday) after {LAST_DAY}"),
            Column("predicted_price", "float", "Median forecast of the closing price, USD, not rounded"),
            Column("confidence_lower", "float", "Lower end of the interval, USD"),
            Column("confidence_upper", "float", "Upper end of the interval, USD"),
            Column("model_version", "string", "The version that answers"),
        ),
        version_column="model_version",
    ),
    bare=True,
)


@dataclass(frozen=True, eq=False)
class Law:
    """The distribution of log returns per business day, as training learns it."""

    #: ndarray of shape (n_tickers,).
    drift: np.ndarray
    #: ndarray of shape (n_tickers,): the variance in the long run.
    variance: np.ndarray
    #: ndarray of shape (len(LEVELS),): quantiles of the returns over one to MAX_DAYS days, without drift and
    #: in units of the expected standard deviation.
    quantiles: np.ndarray


@dataclass(frozen=True, eq=False)
class Forecaster:
    """The fitted model: median and spread of the log price for every ticker and each coming day."""

    #: ndarrays of shape (n_tickers, MAX_DAYS), in the order of TICKERS.
    median: np.ndarray
    spread: np.ndarray
    #: ndarray of shape (len(LEVELS),).
    quantiles: np.ndarray
    #: MAX_DAYS dates as text.
    dates: tuple[str, ...]
    signature: ClassVar[Signature] = SIGNATURE

    def predict(
        self, rows: np.ndarray, days_ahead: int = 1, confidence_interval: float = 0.95
    ) -> list[list[dict[str, Any]]]:
        """Return one record for each day; ``rows`` has shape (n_rows, 1), tickers. The server adds the
        model_version.
        """
        tail = (1 - confidence_interval) / 2
        low, high = np.interp((tail, 1 - tail), LEVELS, self.quantiles)
        tickers = rows[:, 0].tolist()
        index = np.array([_INDEX[ticker] for ticker in tickers], dtype=int)
        median, spread = self.median[index, :days_ahead], self.spread[index, :days_ahead]
        prices = np.exp(np.stack((median, median + low * spread, median + high * spread), axis=2)).tolist()
        return [
            [
                {
                    "ticker": ticker,
                    "date": date,
                    "predicted_price": price,
                    "confidence_lower": lower,
                    "confidence_upper": upper,
                }
                for date, (price, lower, upper) in zip(self.dates, of_row, strict=False)
            ]
            for ticker, of_row in zip(tickers, prices, strict=True)
        ]


_INDEX = {ticker: index for index, ticker in enumerate(TICKERS)}


def data(seed: int = SEED) -> tuple[np.ndarray, np.ndarray]:
    """Return generated closes: days, datetime64[D] (n_days,), and prices in USD, float64 (n_days, n_tickers).

    Each ticker is a geometric random walk with fat tails (Student's t) and volatility clusters: a day's
    variance follows from the variance and the squared return of the day before.
    """
    rng = np.random.default_rng(seed)
    days = np.arange(FIRST_DAY, LAST_DAY + 1)
    days = days[np.is_busday(days)]
    first, growth, volatility = np.array(list(TICKERS.values())).T
    long_run = volatility**2 / TRADING_DAYS_A_YEAR
    freedom = 6.0
    shocks = rng.standard_t(freedom, (len(days) - 1, len(TICKERS))) / np.sqrt(freedom / (freedom - 2))
    returns = np.empty_like(shocks)
    variance = long_run
    for t, shock in enumerate(shocks):
        returns[t] = np.sqrt(variance) * shock
        variance = 0.04 * long_run + 0.07 * returns[t] ** 2 + 0.89 * variance
    drift = np.log1p(growth) / TRADING_DAYS_A_YEAR - long_run / 2
    log_price = np.vstack((np.zeros(len(TICKERS)), np.cumsum(returns + drift, axis=0)))
    return days, first * np.exp(log_price)


def split(prices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the prices, (n_days, n_tickers), before the last HELD_OUT_DAYS days, and those of these days."""
    return prices[:-HELD_OUT_DAYS], prices[-HELD_OUT_DAYS:]


def train(prices: np.ndarray) -> Law:
    """Learn the law of prices of shape (n_days, n_tickers) in USD, at least 200 days."""
    log_price = np.log(prices)
    returns = np.diff(log_price, axis=0)
    variance = returns.var(axis=0)
    # A mean return is mostly noise, and has a smaller error half-way to the mean of all series.
    drift = (returns.mean(axis=0) + returns.mean()) / 2
    spread = _spread(log_price, variance)
    residuals = []
    for days in range(1, MAX_DAYS + 1):
        moved = log_price[days:] - log_price[:-days] - days * drift
        # The estimate of the present variance needs some days before it is useful.
        residuals.append((moved / spread[:-days, :, days - 1])[60:].ravel())
    return Law(drift, variance, np.quantile(np.concatenate(residuals), LEVELS))


def _spread(log_price: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Return the expected standard deviation of the return over the next 1 to MAX_DAYS days, seen from each
    day.

    ``log_price`` has shape (n_days, n_tickers), ``variance`` (n_tickers,) is that of the long run, and the
    result has shape (n_days, n_tickers, MAX_DAYS).
    """
    squares = np.diff(log_price, axis=0) ** 2
    present = np.empty_like(log_price)
    present[0] = variance
    for t, square in enumerate(squares, start=1):
        present[t] = DECAY * present[t - 1] + (1 - DECAY) * square
    ahead = np.arange(1, MAX_DAYS + 1)
    # The sum over the days of variance + (present - variance) * REVERSION**day.
    fading = REVERSION * (1 - REVERSION**ahead) / (1 - REVERSION)
    excess = (present - variance)[:, :, np.newaxis]
    spread: np.ndarray = np.sqrt(variance[:, np.newaxis] * ahead + excess * fading)
    return spread


def forecast(law: Law, prices: np.ndarray, last_day: np.datetime64) -> Forecaster:
    """Return the forecaster at the end of ``prices``, (n_days, n_tickers) in USD; the last row is that of
    last_day.
    """
    log_price = np.log(prices)
    ahead = np.arange(1, MAX_DAYS + 1)
    median = log_price[-1][:, np.newaxis] + law.drift[:, np.newaxis] * ahead
    dates = np.busday_offset(last_day, ahead, roll="backward")
    spread = _spread(log_price, law.variance)[-1]
    return Forecaster(median, spread, law.quantiles, tuple(np.datetime_as_string(dates).tolist()))


def backtest(law: Law, days: np.ndarray, prices: np.ndarray, confidence: float = 0.95) -> dict[str, float]:
    """Return how forecasts from every fifth of the last HELD_OUT_DAYS days turned out, over all tickers.

    ``days`` has shape (n_days,), ``prices`` (n_days, n_tickers) in USD. ``coverage`` is the share of closes
    inside their interval, ``absolute_error`` the mean distance of a close from its median forecast, relative
    to the close.
    """
    rows = np.array([[ticker] for ticker in TICKERS], dtype=object)
    inside, distance = [], []
    for origin in range(len(prices) - HELD_OUT_DAYS - 1, len(prices) - MAX_DAYS, 5):
        model = forecast(law, prices[: origin + 1], days[origin])
        answers = model.predict(rows, MAX_DAYS, confidence)
        actual = prices[origin + 1 : origin + 1 + MAX_DAYS].T
        price, lower, upper = (
            np.array([[record[name] for record in of_row[: actual.shape[1]]] for of_row in answers])
            for name in ("predicted_price", "confidence_lower", "confidence_upper")
        )
        inside.append((lower <= actual) & (actual <= upper))
        distance.append(np.abs(price - actual) / actual)
    return {"coverage": float(np.mean(inside)), "absolute_error": float(np.mean(distance))}


def publish_into(store: Store) -> None:
    """Measure on the last two years with a law learned before them, and then publish one that knows them."""
    days, prices = data()
    early, _ = split(prices)
    measured = backtest(train(early), days, prices)
    tickers = np.resize(np.array(list(TICKERS), dtype=object), SAMPLE_ROWS)
    publish(
        store,
        NAME,
        forecast(train(prices), prices, LAST_DAY),
        tickers.reshape(-1, 1),
        metrics={
            "interval_coverage_95": measured["coverage"],
            "mean_absolute_relative_error": measured["absolute_error"],
        },
        description="Prices of the next business days with intervals; invented series, no market prices",
        tags=("1.0.0",),
        parameters={"days_ahead": 5, "confidence_interval": 0.95},
    )
