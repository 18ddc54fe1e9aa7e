"""Dates and date-times as text: which texts are one, and in which order they stand."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

_DAY = r"\d{4}-\d{2}-\d{2}"
_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d"

#: As a regular expression of ECMA-262 too, in which OpenAPI writes patterns.
LOCAL_PATTERN = rf"^{_DAY}[T ]{_CLOCK}:[0-5]\d(\.\d{{1,9}})?$"

_DATE = re.compile(_DAY, re.ASCII)
_DATETIME = re.compile(rf"({_DAY}[T ]{_CLOCK}:[0-5]\d)(?:\.(\d{{1,9}}))?(Z|[+-]{_CLOCK})?", re.ASCII)
_EPOCH = datetime(1970, 1, 1)


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


def _seconds(text: str) -> int | None:
    """Whole seconds since 1970-01-01, in nanoseconds."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment - _EPOCH) // timedelta(seconds=1) * 10**9
