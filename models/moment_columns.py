"""pandas' columns of dates, date-times and durations, built from the spelling of JSON."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pandas as pd

from models.moments import datetime64, moment_ns, timedelta64

_CALENDAR = ("0001-01-01T00:00:00", "9999-12-31T23:59:59")
_NONE = timedelta(0)


def moment_column(pandas_dtype: str, cells: list[Any]) -> Any:
    """Return a column of dates or date-times; those with an offset are converted to the column's time zone.

    Raises ValueError or OverflowError for a cell that the dtype cannot hold.
    """
    zoned = "," in pandas_dtype
    moments = (None if c is None or c != c else moment_ns(c, offset=zoned) for c in cells)
    index = pd.DatetimeIndex(datetime64(moments, unit_of(pandas_dtype)), tz="UTC" if zoned else None)
    if not pandas_dtype.endswith("[pyarrow]"):
        return index.astype(pandas_dtype).array
    whole = pandas_dtype.startswith("date")
    return pd.array([None if m is pd.NaT else m.date() if whole else m for m in index], dtype=pandas_dtype)


def duration_column(pandas_dtype: str, cells: list[Any]) -> Any:
    """Return a column of durations from cells in seconds; raises OverflowError for one that the dtype cannot
    hold.
    """
    lengths = pd.TimedeltaIndex(timedelta64(cells, unit_of(pandas_dtype)))
    if not pandas_dtype.endswith("[pyarrow]"):
        return lengths.astype(pandas_dtype).array
    return pd.array([None if d is pd.NaT else d for d in lengths], dtype=pandas_dtype)


def moment_text(moment: pd.Timestamp) -> str:
    """Return the ISO text of a moment, with an offset of whole minutes.

    Historic local times have offsets with seconds, which RFC 3339 cannot spell; they are converted to UTC.
    """
    offset = moment.utcoffset()
    if offset is not None and offset.seconds % 60:
        moment = moment.tz_convert("UTC")
    return str(moment.isoformat())


def moment_range(pandas_dtype: str, zone: str) -> tuple[str | None, str | None]:
    """Return the first and last date-time that the dtype can hold; None without a limit in years of four
    digits.

    With a time zone, the local times of both can be represented too: pandas raises for one that cannot.
    """
    first, last = _CALENDAR
    if "[ns" in pandas_dtype:
        first, last = "1677-09-21T00:12:44", "2262-04-11T23:47:16"
    elif not zone:
        return None, None
    if not zone:
        return first, last
    mean, winter, summer = (
        pd.Timestamp(day, tz=zone).utcoffset() for day in ("1800-01-01", "2200-01-01", "2200-07-01")
    )
    ends = (pd.Timestamp(first) - min(mean, _NONE), pd.Timestamp(last) - max(winter, summer, _NONE))
    return ends[0].isoformat() + "Z", ends[1].isoformat() + "Z"


def unit_of(pandas_dtype: str) -> str:
    """Return the unit of a dtype of moments or durations; "s" for days."""
    match = re.search(r"\[([mun]?s)\b", pandas_dtype)
    return str(match[1]) if match else "s"
