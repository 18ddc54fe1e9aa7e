"""Dates, date-times and durations in JSON: their valid texts, their order, and NumPy's arrays of them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import datetime, timedelta

import numpy as np

_YEAR = r"(?:\d{3}[1-9]|\d{2}[1-9]0|\d[1-9]00|[1-9]000)"
_DAY = rf"{_YEAR}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d"

#: A date-time without an offset. The pattern is also valid in ECMA-262, the dialect of OpenAPI.
LOCAL_PATTERN = rf"^{_DAY}[T ]{_CLOCK}:[0-5]\d(\.\d{{1,9}})?$"

_DATE = re.compile(_DAY, re.ASCII)
_DATETIME = re.compile(rf"({_DAY}[T ]{_CLOCK}:[0-5]\d)(?:\.(\d{{1,9}}))?(Z|[+-]{_CLOCK})?", re.ASCII)
_EPOCH = datetime(1970, 1, 1)

#: Unit of datetime64 -> nanoseconds.
_UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_NOT_A_TIME = -(2**63)

#: Unit -> the largest whole number of seconds that timedelta64 holds.
LONGEST = {unit: (2**63 - 1) * size // 10**9 for unit, size in _UNITS.items()}


def date_ns(text: str) -> int | None:
    """Return the day YYYY-MM-DD (RFC 3339 full-date) as nanoseconds since 1970-01-01; None if it does not
    exist.
    """
    return _seconds(text) if _DATE.fullmatch(text) else None


def datetime_ns(text: str, *, offset: bool) -> int | None:
    """Return a date-time as nanoseconds since 1970-01-01T00:00:00; None if the text is not valid.

    The form is YYYY-MM-DDThh:mm:ss with up to nine digits after the second; a space may replace the T. With
    ``offset`` the text ends in Z or in an offset such as +02:00 (RFC 3339 date-time) and the result counts
    from UTC; without it the text must have neither.
    """
    match = _DATETIME.fullmatch(text)
    if match is None or (match[3] is not None) is not offset:
        return None
    whole = _seconds(match[1])
    if whole is None:
        return None
    zone = match[3]
    east = 0
    if zone is not None and zone != "Z":
        minutes = int(zone[1:3]) * 60 + int(zone[4:])
        east = (-minutes if zone[0] == "-" else minutes) * 60 * 10**9
    return whole + int((match[2] or "").ljust(9, "0")) - east


def moment_ns(text: str, *, offset: bool) -> int:
    """Return a date or a date-time as nanoseconds since 1970; raises ValueError for any other text."""
    ns = date_ns(text) if len(text) == len("2026-01-31") else datetime_ns(text, offset=offset)
    if ns is None:
        raise ValueError(
            f"{text!r} is neither a date nor a date-time {'with' if offset else 'without'} an offset"
        )
    return ns


def datetime64(moments: Iterable[int | None], unit: str) -> np.ndarray:
    """Return moments in nanoseconds, None for a missing one, as datetime64 of shape (n,) in ``unit`` (s, ms,
    us or ns).

    Fractions below the unit are cut off, as NumPy does. Raises OverflowError for a moment that the unit
    cannot hold. pandas' own parser takes the unit from the text with the most digits, and fails for texts
    with fewer.
    """
    size = _UNITS[unit]
    numbers = [_NOT_A_TIME if ns is None else ns // size for ns in moments]
    return np.array(numbers, dtype=np.int64).view(f"datetime64[{unit}]")


def timedelta64(seconds: Iterable[float | None], unit: str) -> np.ndarray:
    """Return durations in seconds, None or NaN for a missing one, as timedelta64 of shape (n,), rounded to
    ``unit``.

    Raises OverflowError for a duration that the unit cannot hold.
    """
    per_second = 10**9 // _UNITS[unit]
    numbers = [_NOT_A_TIME if s is None or s != s else _rounded(s, per_second) for s in seconds]
    return np.array(numbers, dtype=np.int64).view(f"timedelta64[{unit}]")


def _rounded(seconds: float, per_second: int) -> int:
    """Return the seconds in units, rounded. Whole seconds are multiplied apart, because a product of floats
    would not be exact to the nanosecond.
    """
    whole = math.floor(seconds)
    return whole * per_second + round((seconds - whole) * per_second)


def _seconds(text: str) -> int | None:
    """Return whole seconds since 1970-01-01, in nanoseconds."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment - _EPOCH) // timedelta(seconds=1) * 10**9
