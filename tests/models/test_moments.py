"""Dates and date-times as text: which are taken, and in which order they stand."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.moments import LOCAL_PATTERN, date_ns, datetime_ns


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
