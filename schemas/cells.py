"""The validation of a column's cells, one by one or all at once, and the wording of faults.

Types are compared before NumPy gets a value, because NumPy silently turns ``true``, ``"5.1"`` and ``null``
among numbers into numbers.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import orjson

from models.errors import Fault
from models.signature import LARGEST, MAX_EXACT_INT, MEASURED, MOMENTS, Column

_NUMBERS = frozenset({int, float})
_TEXT = frozenset({str})
_TYPES: dict[str, frozenset[type]] = {
    "float": _NUMBERS,
    "int": _NUMBERS,
    "duration": _NUMBERS,
    "bool": frozenset({bool}),
    "string": _TEXT,
    "date": _TEXT,
    "datetime": _TEXT,
}
_WHY_NO_LARGER_INT = (
    f"JSON numbers are exact only up to {MAX_EXACT_INT - 1}, so a larger id must be text: "
    "publish the model with a text column for it"
)

#: The grammar of numbers in JSON. A model with ``coerce`` also takes them as text.
NUMBER_PATTERN = r"^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$"
_NUMBER_TEXT = re.compile(NUMBER_PATTERN[1:-1], re.ASCII)
_BOOLEANS = {"true": True, "false": False}

_KINDS = {
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
}
_WHAT = {
    "float": "a number",
    "int": "an integer",
    "bool": "true or false",
    "date": "a date YYYY-MM-DD",
    "duration": "a number of seconds",
}


class Cells:
    """The validator of one column's cells. It precomputes all that depends only on the column."""

    def __init__(self, column: Column, *, coerce: bool = False) -> None:
        self.column = column
        #: Whether a text is converted to the number or boolean that it spells.
        self.coerce = coerce and takes_text_for(column)
        #: The range of numbers that are valid; for dates and date-times in nanoseconds since the epoch.
        self.low, self.high = bounds(column)
        self._allowed = None if column.values is None else frozenset(map(_typed, column.values))

    @property
    def expected(self) -> str:
        """The values that the column takes, as the member ``expected`` of a fault."""
        return describe(self.column) + (", or the same as text" if self.coerce else "")

    def read(self, value: Any) -> Any:
        """Return the number or boolean that a text spells, if ``coerce`` is set; else the value."""
        if not self.coerce or type(value) is not str:
            return value
        if value in _BOOLEANS and self.column.dtype not in MEASURED:
            return _BOOLEANS[value]
        if self.column.dtype == "bool" or not _NUMBER_TEXT.fullmatch(value):
            return value
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:  # larger than any float
            return value

    def hold(self, cells: list[Any]) -> bool:
        """Return whether all cells, after ``read``, are valid values of the column."""
        column = self.column
        kinds = set(map(type, cells))
        if column.nullable and type(None) in kinds:
            cells = [c for c in cells if c is not None]
            kinds.discard(type(None))
        if column.dtype in _TYPES and not kinds <= _TYPES[column.dtype]:
            return False
        if not cells:
            return True
        if self._allowed is not None:
            return not kinds & {list, dict} and self._allowed.issuperset(map(_typed, cells))
        if column.dtype in MEASURED:
            numbers = np.array(cells, dtype=np.float64)
            whole = column.dtype != "int" or bool((numbers == np.floor(numbers)).all())
            return whole and bool(((numbers >= self.low) & (numbers <= self.high)).all())
        return all(self.fault(cell) is None for cell in set(cells))

    def fault(self, given: Any) -> Fault | None:
        """Return the fault of one value, with an empty location; None for a valid value."""
        column, value = self.column, self.read(given)
        kind = type(value)
        if value is None:
            return None if column.nullable else self._fault("null is not allowed", None)
        if self._allowed is not None:
            allowed = kind not in (list, dict) and _typed(value) in self._allowed
            return None if allowed else self._fault("not an allowed value", given)
        if kind not in _TYPES[column.dtype]:
            return self._fault(f"{_KINDS.get(kind, kind.__name__)} is not allowed", given)
        if column.dtype in MEASURED:
            number = float(value)  # the conversion that NumPy does
            if column.dtype == "int" and not number.is_integer():
                return self._fault("not an integer", given)
            if abs(number) > LARGEST[column.dtype]:
                fault = self._fault(f"beyond ±{LARGEST[column.dtype]}", given)
                hint = f"; {_WHY_NO_LARGER_INT}" if column.dtype == "int" else ""
                return Fault((), fault.msg, fault.expected + hint, fault.got)
            if not self.low <= number <= self.high:
                return self._fault("out of range", given)
        elif column.dtype == "string":
            if not (column.min_length or 0) <= len(value) <= (column.max_length or len(value)):
                return self._fault("wrong length", given)
        elif column.dtype in MOMENTS:
            moment = column.moment(value)
            if moment is None:
                return self._fault("not a date" if column.dtype == "date" else "not a date-time", given)
            if not self.low <= moment <= self.high:
                return self._fault("out of range", given)
        return None

    def _fault(self, message: str, given: Any) -> Fault:
        return Fault((), message, self.expected, shown(given))


def bounds(column: Column) -> tuple[float, float]:
    """Return the range of valid numbers; for dates and date-times in nanoseconds since the epoch."""
    largest = LARGEST.get(column.dtype, np.inf)
    low, high = (
        column.moment(end) if isinstance(end, str) else end for end in (column.minimum, column.maximum)
    )
    return -largest if low is None else max(-largest, low), largest if high is None else min(largest, high)


def takes_text_for(column: Column) -> bool:
    """Return whether text may spell a number or boolean of the column; not if it has texts as values."""
    return column.numeric or (
        column.values is not None and not any(isinstance(value, str) for value in column.values)
    )


def describe(column: Column) -> str:
    """Return the values that the column takes, in the words of an error message."""
    if column.values is not None:
        listed = ", ".join(str(v) for v in column.values[:20])
        return f"one of: {listed}" + (f" .. ({len(column.values)} in all)" if len(column.values) > 20 else "")
    what = _WHAT.get(column.dtype, "text")
    if column.dtype == "datetime":
        end = "ending in Z or in an offset such as +02:00" if column.timezone else "without an offset"
        what = f"a date-time YYYY-MM-DDThh:mm:ss {end}"
    if column.minimum is not None or column.maximum is not None:
        what += _between(column.minimum, column.maximum, "")
        what += f" ({column.limit_of})" if column.limit_of else ""
    if column.min_length is not None or column.max_length is not None:
        what += _between(column.min_length, column.max_length, " characters")
    return f"{what} or null" if column.nullable else what


def shown(value: Any) -> Any:
    """Return a value as an error may repeat it: shortened, and never a whole list or object."""
    if isinstance(value, (list, dict)):
        return f"{_KINDS[type(value)]} of {len(value)}"
    return value[:100] if isinstance(value, str) else value


def _between(low: Any, high: Any, unit: str) -> str:
    if low is None or high is None:
        return f" of at most {high}{unit}" if low is None else f" of at least {low}{unit}"
    return f" from {low} to {high}{unit}"


def _typed(value: Any) -> tuple[type, Any]:
    """Return a key by which values are equal as in JSON: 1 equals 1.0 but not true, unlike in Python."""
    kind = type(value)
    return (float if kind is int else kind, value)
