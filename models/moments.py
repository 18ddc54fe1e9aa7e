"""Dates, date-times and durations as JSON spells them: which texts are one, their order, and NumPy's arrays of them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import datetime, timedelta

import numpy as np

_YEAR = r"(?:\d{3}[1-9]|\d{2}[1-9]0|\d[1-9]00|[1-9]000)"
_DAY = rf"{_YEAR}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d"

#: As a regular expression of ECMA-262 too, in which OpenAPI writes patterns.
LOCAL_PATTERN = rf"^{_DAY}[T ]{_CLOCK}:[0-5]\d(\.\d{{1,9}})?$"

_DATE = re.compile(_DAY, re.ASCII)
_DATETIME = re.compile(rf"({_DAY}[T ]{_CLOCK}:[0-5]\d)(?:\.(\d{{1,9}}))?(Z|[+-]{_CLOCK})?", re.ASCII)
_EPOCH = datetime(1970, 1, 1)

#: Nanoseconds in the units of datetime64.
_UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_NOT_A_TIME = -(2**63)

#: Unit -> the most seconds that timedelta64 holds, in whole ones.
LONGEST = {unit: (2**63 - 1) * size // 10**9 for unit, size in _UNITS.items()}


def date_ns(text: str) -> int | None:
    """The day YYYY-MM-DD (RFC 3339 full-date) as nanoseconds since 1970-01-01; None when there is no such day."""
    return _seconds(text) if _DATE.fullmatch(text) else None


def datetime_ns(text: str, *, offset: bool) -> int | None:
    """A date-time as nanoseconds since 1970-01-01T00:00:00; None when the text is none.

    The form is YYYY-MM-DDThh:mm:ss with up to nine digits after the second; a space may stand for the T. With
    ``offset`` the text ends in Z or in an offset such as +02:00 (RFC 3339 date-time), and the result counts from UTC;
    without, it must end in neither.
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
    """Either of them; raises ValueError for text that is neither."""
    found = date_ns(text) if len(text) == len("2026-01-31") else datetime_ns(text, offset=offset)
    if found is None:
        raise ValueError(f"{text!r} is no date and no date-time {'with' if offset else 'without'} an offset")
    return found


def datetime64(moments: Iterable[int | None], unit: str) -> np.ndarray:
    """Moments in nanoseconds, None where one is missing, as datetime64 of shape (n,) and this unit (s, ms, us or ns).

    What is shorter than the unit is cut off, as NumPy does. Raises OverflowError for what the unit cannot hold. pandas'
    own reading of text takes the unit from the text with the most digits, and fails for others beside it.
    """
    size = _UNITS[unit]
    numbers = [_NOT_A_TIME if ns is None else ns // size for ns in moments]
    return np.array(numbers, dtype=np.int64).view(f"datetime64[{unit}]")


def timedelta64(seconds: Iterable[float | None], unit: str) -> np.ndarray:
    """Durations in seconds, None or NaN where one is missing, as timedelta64 of shape (n,), rounded to this unit.

    Raises OverflowError for what the unit cannot hold.
    """
    per_second = 10**9 // _UNITS[unit]
    numbers = [_NOT_A_TIME if s is None or s != s else _rounded(s, per_second) for s in seconds]
    return np.array(numbers, dtype=np.int64).view(f"timedelta64[{unit}]")


def _rounded(seconds: float, per_second: int) -> int:
    """Whole seconds apart, which a product of floats would not keep to the nanosecond."""
    whole = math.floor(seconds)
    return whole * per_second + round((seconds - whole) * per_second)


def _seconds(text: str) -> int | None:
    """Whole seconds since 1970-01-01, in nanoseconds."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment - _EPOCH) // timedelta(seconds=1) * 10**9
