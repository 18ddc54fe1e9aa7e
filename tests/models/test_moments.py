"""Dates and date-times as text: which are valid, and how they are ordered."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.moments import LOCAL_PATTERN, LONGEST, date_ns, datetime64, datetime_ns, timedelta64


def test_a_day_is_counted_from_1970() -> None:
    assert date_ns("1970-01-01") == 0
    assert date_ns("1969-12-31") == -86_400 * 10**9
    assert (date_ns("0001-01-01") or 0) < (date_ns("9999-12-31") or 0)


@pytest.mark.parametrize(
    "text", ["2026-02-29", "2026-1-1", "20260101", "2026-01-01 ", "2026-01-01T00:00:00", ""]
)
def test_what_is_no_day_is_none(text: str) -> None:
    assert date_ns(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00", 0),
        ("1970-01-01 00:00:01", 10**9),
        ("1970-01-01T00:00:00.1", 10**8),
        ("1970-01-01T00:00:00.000000001", 1),
        ("1969-12-31T23:59:59.999999999", -1),
        ("2262-04-11T23:47:16.854775807", 2**63 - 1),
        ("1677-09-21T00:12:43.145224192", -(2**63)),
    ],
)
def test_a_local_date_time_keeps_every_nanosecond(text: str, expected: int) -> None:
    assert datetime_ns(text, offset=False) == expected
    assert datetime_ns(text + "Z", offset=True) == expected
    assert datetime_ns(text + "Z", offset=False) is None
    assert datetime_ns(text, offset=True) is None
    assert re.fullmatch(LOCAL_PATTERN[1:-1], text)


def test_moments_are_compared_whatever_their_offset_is() -> None:
    same = ("2026-03-01T00:30:00+02:00", "2026-02-28T22:30:00Z", "2026-02-28T21:00:00-01:30")
    assert len({datetime_ns(text, offset=True) for text in same}) == 1
    assert (datetime_ns("0001-01-01T00:00:00+23:59", offset=True) or 0) < 0
    assert datetime_ns("9999-12-31T23:59:59-23:59", offset=True)


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01",
        "2026-01-01T10:00",
        "2026-01-01t10:00:00",
        "2026-01-01T24:00:00",
        "2026-01-01T10:60:00",
        "2026-01-01T10:00:60",
        "2026-02-30T10:00:00",
        "2026-01-01T10:00:00.",
        "2026-01-01T10:00:00,5",
        "2026-01-01T10:00:00.1234567890",
        "2026-01-01T10:00:00+2",
        "2026-01-01T10:00:00+24:00",
        "2026-01-01T10:00:00z",
        "2026-01-01  10:00:00",
        "٢٠٢٦-01-01T10:00:00",
    ],
)
def test_other_forms_of_a_date_time_are_not_taken(text: str) -> None:
    for offset in (True, False):
        assert datetime_ns(text, offset=offset) is None
        assert datetime_ns(text + "Z", offset=offset) is None


@given(
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.sampled_from(["UTC", "+05:45", "-03:30", "Europe/Berlin"]),
)
def test_pandas_reads_the_same_moment(ns: int, zone: str) -> None:
    text = pd.Timestamp(ns, unit="ns").isoformat()
    assert datetime_ns(text, offset=False) == ns
    if abs(ns) < 2**62:
        aware = pd.Timestamp(ns, unit="ns", tz="UTC").tz_convert(zone).isoformat()
        if re.search(r"[+-]\d\d:\d\d$", aware):  # local mean times of long ago have seconds in their offset
            assert datetime_ns(aware, offset=True) == ns


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_moments_become_an_array_of_any_unit(unit: str) -> None:
    texts = ["1970-01-01T00:00:01.123456789", None, "1969-12-31T23:59:59.999999999", "2026-01-31T10:00:00"]
    found = datetime64((None if t is None else datetime_ns(t, offset=False) for t in texts), unit)
    assert found.dtype == f"datetime64[{unit}]"
    expected = np.array(["NaT" if t is None else t for t in texts], dtype="datetime64[ns]")
    assert np.array_equal(found, expected.astype(found.dtype), equal_nan=True)


def test_a_moment_with_many_digits_stands_beside_one_far_away() -> None:
    far, fine = (
        datetime_ns(t, offset=True)
        for t in ("9999-12-31T23:59:59.999999999Z", "2026-01-31T10:00:00.123456789Z")
    )
    assert datetime64([far, fine], "us").astype(str).tolist() == [
        "9999-12-31T23:59:59.999999",
        "2026-01-31T10:00:00.123456",
    ]
    with pytest.raises(OverflowError):
        datetime64([far], "ns")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_durations_become_an_array_of_any_unit(unit: str) -> None:
    seconds = [0.29, None, 5400, -1.5, float("nan"), 123456.789012345]
    found = timedelta64(seconds, unit)
    expected = np.array(
        [290_000_000, "NaT", 5400 * 10**9, -1_500_000_000, "NaT", 123_456_789_012_345],
        dtype="timedelta64[ns]",
    )
    per = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[unit]
    whole = [None if np.isnat(n) else round(int(n.astype(np.int64)) / per) for n in expected]
    assert [None if np.isnat(n) else int(n.astype(np.int64)) for n in found] == whole
    assert timedelta64([LONGEST[unit], -LONGEST[unit]], unit).dtype == f"timedelta64[{unit}]"
    with pytest.raises(OverflowError):
        timedelta64([LONGEST[unit] * 1.1], unit)


@given(st.integers(-(10**15), 10**15))
def test_a_duration_comes_back_from_its_seconds(microseconds: int) -> None:
    """The result is as exact as a number of JSON."""
    seconds = pd.Timedelta(microseconds, unit="us").total_seconds()
    assert timedelta64([seconds], "us").astype(np.int64).tolist() == [microseconds]
