"""The demand forecast beats the seasonal-naive one, and only because of what the calendar tells."""

from __future__ import annotations

import numpy as np
import pytest

from models.errors import InputError
from models.zoo import demand

WORTH_SERVING = 0.85  # times the error of the seasonal-naive forecast


def held_out_score(shuffle: bool) -> float:
    """Return the error on the last weeks relative to the seasonal-naive one; products and days can be
    shuffled.
    """
    sales = demand.data()
    early, late = demand.split(sales)
    if shuffle:
        rng = np.random.default_rng(0)
        early = demand.Sales(rng.permutation(early.product), rng.permutation(early.day), early.units)
    expected = demand.train(early).expect(late.product, late.day)
    return demand.error(expected, late.units) / demand.error(demand.naive(sales, late), late.units)


@pytest.fixture(scope="module")
def forecaster():
    return demand.train(demand.data())


def ask(*rows: tuple[str, str, str]) -> np.ndarray:
    return np.array(rows, dtype=object)


def test_is_worth_serving():
    assert held_out_score(shuffle=False) <= WORTH_SERVING


def test_learns_from_products_and_days():
    """Shuffled columns hold no information, so the same test fails."""
    assert held_out_score(shuffle=True) > WORTH_SERVING


def test_the_held_out_days_come_after_all_others():
    early, late = demand.split(demand.data())
    assert early.day.max() < late.day.min()
    assert len(np.unique(late.day)) == demand.HELD_OUT_DAYS
    assert late.day.max() == demand.LAST_DAY


def test_naive_forecast_is_what_was_sold_a_week_before():
    sales = demand.data()
    _, late = demand.split(sales)
    # Products follow one another, each with all of its days in order.
    by_product = sales.units.reshape(len(demand.PRODUCTS), -1)
    expected = by_product[:, -demand.HELD_OUT_DAYS - 7 : -7].ravel()
    np.testing.assert_array_equal(demand.naive(sales, late), expected)


def test_training_again_gives_the_same_answers(forecaster):
    rows = ask(*((name, "2026-02-01", "2026-12-31") for name in demand.PRODUCTS))
    assert demand.train(demand.data()).predict(rows) == forecaster.predict(rows)


def test_gives_one_record_for_each_day_in_order(forecaster):
    (records,) = forecaster.predict(ask(("mug", "2026-02-27", "2026-03-02")))
    assert [r["date"] for r in records] == ["2026-02-27", "2026-02-28", "2026-03-01", "2026-03-02"]
    assert all(r["units"] > 0 for r in records)


def test_a_range_may_be_one_day_or_a_leap_years_length(forecaster):
    rows = ask(("mug", "2026-01-01", "2026-01-01"), ("mug", "2026-12-31", "2027-12-31"))
    assert [len(records) for records in forecaster.predict(rows)] == [1, 366]


def test_a_range_is_answered_alone_as_in_company(forecaster):
    rows = ask(
        ("kettle", "2026-01-01", "2026-01-14"),
        ("planter", "2026-05-01", "2026-05-01"),
        ("kettle", "2027-11-20", "2027-12-31"),
        ("kettle", "2026-01-07", "2026-01-08"),
    )
    together = forecaster.predict(rows)
    assert together == [forecaster.predict(rows[i : i + 1])[0] for i in range(len(rows))]
    assert together[3] == together[0][6:8]


def test_records_are_as_declared(forecaster):
    declared = [column.name for column in forecaster.signature.output.columns]
    ((record,),) = forecaster.predict(ask(("flask", "2026-06-01", "2026-06-01")))
    assert list(record) == declared
    assert [type(value) for value in record.values()] == [str, float, bool]


def test_sales_follow_the_calendar(forecaster):
    year = [("beach towel", "2026-01-01", "2026-12-31")]
    units = {r["date"]: r["units"] for r in forecaster.predict(ask(*year))[0]}
    assert units["2026-07-12"] > 2 * units["2026-02-08"]
    assert units["2026-11-27"] > 1.3 * units["2026-11-20"], "Black Friday"
    assert units["2026-12-25"] < 0.6 * units["2026-12-18"], "Christmas Day"


@pytest.mark.parametrize(
    ("start", "end", "faults"),
    [
        ("2026-01-02", "2026-01-01", [("end", "is before start")]),
        ("2025-12-31", "2026-01-03", [("start", "is outside of the forecast horizon")]),
        ("2027-12-30", "2028-01-01", [("end", "is outside of the forecast horizon")]),
        ("2026-01-01", "2027-01-02", [("end", "makes the range too long")]),
        (
            "0001-01-01",
            "9999-12-31",
            [
                ("start", "is outside of the forecast horizon"),
                ("end", "is outside of the forecast horizon"),
                ("end", "makes the range too long"),
            ],
        ),
    ],
)
def test_an_impossible_range_is_refused_with_its_place(forecaster, start, end, faults):
    rows = ask(("mug", "2026-01-01", "2026-01-02"), ("mug", start, end))
    with pytest.raises(InputError) as raised:
        forecaster.predict(rows)
    assert [(f.loc, f.msg) for f in raised.value.faults] == [((1, column), msg) for column, msg in faults]
    assert {f.got for f in raised.value.faults} <= {start, end}
    assert all(f.expected for f in raised.value.faults)


def test_every_faulty_row_is_named(forecaster):
    rows = ask(("mug", "2026-01-02", "2026-01-01"), ("mug", "2020-01-01", "2026-01-02"))
    with pytest.raises(InputError) as raised:
        forecaster.predict(rows)
    assert {f.loc[0] for f in raised.value.faults} == {0, 1}
