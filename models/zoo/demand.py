"""The demo model "demand": how many units of a product will be sold on each day of a date range.

It has one Poisson regression for each product. The features follow from the calendar alone (weekday, season,
growth, planned promotions), so that any day of the forecast horizon can be predicted without feeding back
earlier forecasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.linear_model import PoissonRegressor

from models.errors import Fault, InputError
from models.publishing import publish
from models.signature import Column, Output, Signature

if TYPE_CHECKING:
    from models.store import Store

NAME = "demand"
SEED = 5
SAMPLE_ROWS = 400

#: Product -> mean units per day, growth per year, seasonal swing (1 means twice as many at the peak) and the
#: day of the year of the peak.
PRODUCTS: dict[str, tuple[float, float, float, int]] = {
    "beach towel": (42.0, 0.05, 0.9, 195),
    "bird feeder": (18.0, 0.08, 0.5, 20),
    "camp stove": (25.0, 0.12, 0.7, 170),
    "candle holder": (33.0, 0.02, 0.6, 340),
    "chess set": (15.0, 0.10, 0.3, 345),
    "desk lamp": (48.0, 0.04, 0.3, 300),
    "flask": (60.0, 0.09, 0.2, 330),
    "kettle": (75.0, 0.03, 0.1, 320),
    "mug": (140.0, 0.01, 0.1, 335),
    "picnic basket": (22.0, 0.06, 0.8, 180),
    "planter": (38.0, 0.07, 0.8, 120),
    "wall clock": (20.0, -0.04, 0.1, 10),
}

FIRST_DAY = np.datetime64("2023-01-02", "D")
LAST_DAY = np.datetime64("2025-12-31", "D")
#: The last day of the horizon, because growth is not known to last.
HORIZON_END = np.datetime64("2027-12-31", "D")
MAX_DAYS = 366
HELD_OUT_DAYS = 56

SIGNATURE = Signature(
    columns=(
        Column("product", "category", "What is sold", values=tuple(PRODUCTS)),
        Column("start", "date", f"First day of the forecast, {LAST_DAY + 1} or later"),
        Column(
            "end", "date", f"Last day of the forecast, at most {MAX_DAYS} days and not after {HORIZON_END}"
        ),
    ),
    output=Output(
        "records",
        columns=(
            Column("date", "date", "The day"),
            Column("units", "float", "Expected units sold on that day, to two places"),
            Column("promotion", "bool", "Whether the product is planned to be on offer that day"),
        ),
    ),
)


@dataclass(frozen=True)
class Sales:
    """Sales with one row for each product and day."""

    #: int ndarray of shape (n,): the index in PRODUCTS.
    product: np.ndarray
    #: datetime64[D] ndarray of shape (n,).
    day: np.ndarray
    #: int ndarray of shape (n,): units sold.
    units: np.ndarray


def on_offer(product: np.ndarray, day: np.ndarray) -> np.ndarray:
    """Return whether each day is in the product's promotion: bool, shape (n,).

    A promotion takes the first nine days of every fourth month.
    """
    month = day.astype("datetime64[M]")
    within = (day - month.astype("datetime64[D]")).astype(int)
    planned: np.ndarray = (within < 9) & ((month.astype(int) + product) % 4 == 0)
    return planned


def calendar(product: np.ndarray, day: np.ndarray) -> np.ndarray:
    """Return the features of n product days that move sales: float64, shape (n, 17).

    In order: 1 for the level, Monday to Saturday, four waves of the season, years of growth, and five events:
    Black Friday, Advent, Christmas, New Year, promotion. Sundays have no column, because the level is theirs.
    """
    year = day.astype("datetime64[Y]")
    of_year = (day - year.astype("datetime64[D]")).astype(int)
    weekday = (day.astype(int) + 3) % 7  # 1970-01-01 was a Thursday; Monday is 0
    angle = 2 * np.pi * of_year / 365.25
    # The Friday after the fourth Thursday of November and the three days after it.
    november = (year.astype("datetime64[M]") + 10).astype("datetime64[D]")
    fridays = np.busday_offset(november, 3, roll="forward", weekmask="Thu") + 1
    since_friday = (day - fridays).astype(int)
    to_christmas = ((year + 1).astype("datetime64[D]") - day).astype(int) - 7
    return np.column_stack(
        (
            np.ones(len(day)),
            (weekday[:, np.newaxis] == np.arange(6)),
            np.sin(angle),
            np.cos(angle),
            np.sin(2 * angle),
            np.cos(2 * angle),
            (day - FIRST_DAY).astype(float) / 365.25,
            (since_friday >= 0) & (since_friday < 4),
            (to_christmas > 0) & (to_christmas <= 21),
            (to_christmas <= 0) & (to_christmas > -2),
            of_year == 0,
            on_offer(product, day),
        )
    ).astype(float)


#: The columns of ``calendar`` with the years of growth and the events.
_GROWTH, _EVENTS = 11, slice(12, 17)


def data(seed: int = SEED) -> Sales:
    """Return generated daily sales of every product from FIRST_DAY to LAST_DAY, product by product, in units.

    The expected number is the product's level times growth, season, weekday, holidays and promotion, times a
    slow drift that no calendar explains. The number sold scatters around it a little more than a Poisson
    count.
    """
    rng = np.random.default_rng(seed)
    days = np.arange(FIRST_DAY, LAST_DAY + 1)
    parts = []
    for index, (level, growth, swing, peak) in enumerate(PRODUCTS.values()):
        product = np.full(len(days), index)
        features = calendar(product, days)
        of_year = (days - days.astype("datetime64[Y]").astype("datetime64[D]")).astype(int)
        weekday = np.append(rng.normal((-0.25, -0.3, -0.25, -0.1, 0.1, 0.3), 0.12), 0.0)
        events = rng.normal((0.7, 0.35, -1.2, -1.5, 0.45), 0.1)
        drift = np.convolve(rng.normal(0.0, 0.012, len(days) + 60), np.ones(60), mode="valid")[: len(days)]
        log_mean = (
            np.log(level)
            + np.log1p(growth) * features[:, _GROWTH]
            + np.log1p(swing) * np.cos(2 * np.pi * (of_year - peak) / 365.25)
            + weekday[(days.astype(int) + 3) % 7]
            + features[:, _EVENTS] @ events
            + 0.5 * drift
        )
        units = rng.poisson(np.exp(log_mean) * rng.gamma(60.0, 1 / 60.0, len(days)))
        parts.append((product, days, units))
    product, day, sold = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Sales(product, day, sold)


def split(sales: Sales) -> tuple[Sales, Sales]:
    """Return the sales before the last HELD_OUT_DAYS days, and those of these days."""
    held_out = sales.day > LAST_DAY - HELD_OUT_DAYS
    early, late = (
        Sales(sales.product[rows], sales.day[rows], sales.units[rows]) for rows in (~held_out, held_out)
    )
    return early, late


@dataclass(frozen=True, eq=False)
class Forecaster:
    """The fitted model: expected units from the weights of calendar features."""

    #: ndarray of shape (n_products, n_features): the contribution of each feature to log(units).
    weights: np.ndarray
    signature: ClassVar[Signature] = SIGNATURE

    def expect(self, product: np.ndarray, day: np.ndarray) -> np.ndarray:
        """Return the expected units of n product days: float64, shape (n,).

        Each day is summed on its own, so that other days do not change it.
        """
        units: np.ndarray = np.exp((calendar(product, day) * self.weights[product]).sum(axis=1))
        return units

    def predict(self, rows: np.ndarray) -> list[list[dict[str, Any]]]:
        """Return one record for each day of each range, in order.

        ``rows`` has shape (n_rows, 3): product, start and end as text. Raises InputError for ranges outside
        of the horizon.
        """
        start, end = rows[:, 1].astype("datetime64[D]"), rows[:, 2].astype("datetime64[D]")
        faults = [fault for i in range(len(rows)) for fault in _faults(i, start[i], end[i])]
        if faults:
            raise InputError(faults)
        lengths = (end - start).astype(int) + 1
        stops = np.cumsum(lengths)
        day = np.repeat(start, lengths) + (np.arange(lengths.sum()) - np.repeat(stops - lengths, lengths))
        product = np.repeat(np.array([_INDEX[name] for name in rows[:, 0]], dtype=int), lengths)
        units = np.round(self.expect(product, day), 2).tolist()
        columns = zip(
            np.datetime_as_string(day).tolist(), units, on_offer(product, day).tolist(), strict=True
        )
        records = [{"date": date, "units": number, "promotion": offer} for date, number, offer in columns]
        return [records[stop - length : stop] for stop, length in zip(stops, lengths, strict=True)]


_INDEX = {name: index for index, name in enumerate(PRODUCTS)}


def _faults(row: int, start: np.datetime64, end: np.datetime64) -> list[Fault]:
    """Return every fault of the range of one row."""
    first = LAST_DAY + 1
    faults = [
        Fault(
            (row, name),
            "is outside of the forecast horizon",
            f"a date from {first} to {HORIZON_END}",
            str(value),
        )
        for name, value in (("start", start), ("end", end))
        if not first <= value <= HORIZON_END
    ]
    if end < start:
        faults.append(Fault((row, "end"), "is before start", f"{start} or later", str(end)))
    if end - start >= np.timedelta64(MAX_DAYS, "D"):
        expected = f"{start + (MAX_DAYS - 1)} or earlier, at most {MAX_DAYS} days in all"
        faults.append(Fault((row, "end"), "makes the range too long", expected, str(end)))
    return faults


def train(sales: Sales) -> Forecaster:
    """Fit one regression for each product; ``sales`` as ``data`` returns them."""
    features = calendar(sales.product, sales.day)
    weights = np.empty((len(PRODUCTS), features.shape[1]))
    for index in range(len(PRODUCTS)):
        rows = sales.product == index
        # The slight penalty handles events that occur once or never in the training data.
        model = PoissonRegressor(alpha=1e-3, solver="newton-cholesky", max_iter=200)
        model.fit(features[rows, 1:], sales.units[rows])
        weights[index] = np.append(model.intercept_, model.coef_)
    return Forecaster(weights)


def error(expected: np.ndarray, sold: np.ndarray) -> float:
    """Return the weighted absolute percentage error, the sum of |expected - sold| over the sum of sold; both
    (n,) units.
    """
    return float(np.abs(expected - sold).sum() / sold.sum())


def naive(sales: Sales, held_out: Sales) -> np.ndarray:
    """Return the baseline forecast for ``held_out``, units of shape (n,): the sales of the same weekday a
    week before.

    It may look up days of the held-out weeks themselves, which the model may not.
    """
    sold = dict(zip(zip(sales.product.tolist(), sales.day.tolist(), strict=True), sales.units, strict=True))
    week_before = zip(held_out.product.tolist(), (held_out.day - 7).tolist(), strict=True)
    return np.array([sold[key] for key in week_before])


def publish_into(store: Store) -> None:
    """Measure a model that has not seen the last weeks, and then publish one that has."""
    sales = data()
    early, late = split(sales)
    rng = np.random.default_rng(SEED)
    start = LAST_DAY + 1 + np.append(0, rng.integers(0, 365, SAMPLE_ROWS - 1))
    end = start + np.append(13, rng.integers(0, 14, SAMPLE_ROWS - 1))
    product = np.resize(np.array(list(PRODUCTS), dtype=object), SAMPLE_ROWS)
    sample = np.column_stack((product, start.astype(str).astype(object), end.astype(str).astype(object)))
    publish(
        store,
        NAME,
        train(sales),
        sample,
        metrics={
            "wape": error(train(early).expect(late.product, late.day), late.units),
            "seasonal_naive_wape": error(naive(sales, late), late.units),
        },
        description="Expected units sold of a product on each day of a date range; generated sales",
        tags=("1.0.0",),
    )
