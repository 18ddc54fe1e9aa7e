"""Which rows a JSON list holds: one ndarray, or every fault in it with its place.

Types are compared before NumPy sees a value, because NumPy turns ``true``, ``"5.1"`` and ``null`` among numbers into
numbers without a word. Columns are checked as a whole; single cells are looked at only to describe a fault.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Sequence
from datetime import date
from itertools import islice, starmap
from math import hypot
from operator import ge, le
from struct import Struct
from typing import Any

import numpy as np

from models.errors import Fault
from models.signature import MAX_EXACT_INT, Column, Signature

MAX_FAULTS = 50
UNKNOWN_NAME = "unknown name"

#: Comparing a name with more than these takes too long in a request that has many faults.
SUGGEST_AMONG = 50

_NUMBERS = frozenset({int, float})
_TYPES: dict[str, frozenset[type]] = {
    "float": _NUMBERS,
    "int": _NUMBERS,
    "bool": frozenset({bool}),
    "string": frozenset({str}),
    "date": frozenset({str}),
}
#: The largest that a cell may be, whatever is declared. A float fits float32, in which trees and others compute: more
#: makes them fail. An integer stays below 2**53, because 2**53 + 1 becomes 2**53 on its way into a float64.
_LARGEST: dict[str, float] = {"float": 3.4e38, "int": MAX_EXACT_INT - 1}

_KINDS = {
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
}


class Rows:
    """Reads rows for one signature. Everything that depends on the signature alone is worked out once."""

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        self.columns = signature.columns
        self.names = {column.name for column in signature.columns}
        plain = all(c.dtype in ("float", "int") and c.values is None and not c.nullable for c in self.columns)
        self._plain = plain
        self._low = np.array([_low(c) for c in self.columns])
        self._high = np.array([_high(c) for c in self.columns])
        self._ints = np.array([c.dtype == "int" for c in self.columns])
        self._has_ints = bool(self._ints.any())
        self._lows, self._highs = self._low.tolist(), self._high.tolist()
        # No cell of a row is further from zero than the row is, so a short row is within all limits; half as short, so
        # that rounding does not matter. NaN is not shorter than anything.
        self._radius = min(*self._highs, *(-low for low in self._lows)) / 2
        self._row = Struct(f"{len(self.columns)}d")

    def read_one(self, row: Any, *, numbers: bool = False) -> np.ndarray | None:
        """A row of shape (1, n_columns) if it is a list of numbers as it should be; None for all that needs a closer look.
        ``numbers`` : as in ``read``."""
        if not (self._plain and type(row) is list and len(row) == len(self.columns)):
            return None
        try:
            return self._numbers((row,), numbers)
        except (TypeError, OverflowError):  # numbers in a list of their own, or too large for any float
            return None

    def read(self, rows: Sequence[Any], *, numbers: bool = False) -> tuple[np.ndarray | None, list[Fault]]:
        """rows : lists of values, or objects by name. Faults have locations below the list: (row, column name).
        ``numbers`` : their cells are known to be numbers, so that need not be looked up.

        Returns an array of shape (n_rows, n_columns), or None and the faults, 50 of them at most.
        """
        width = len(self.columns)
        if self._plain and set(map(type, rows)) == {list} and set(map(len, rows)) == {width}:
            matrix = self._numbers(rows, numbers)
            if matrix is not None:
                return matrix, []
        faults: list[Fault] = []
        lists: list[tuple[int, list[Any]]] = []
        for i, row in enumerate(rows):
            if len(faults) >= MAX_FAULTS:
                break
            cells = self._positional(row)
            if isinstance(cells, list):
                lists.append((i, cells))
            else:
                faults += [fault.under(i) for fault in cells]
        for j, column in enumerate(self.columns):
            if len(faults) >= MAX_FAULTS:
                break
            if not column_holds(column, [row[j] for _, row in lists]):
                bad = ((i, check_cell(column, row[j])) for i, row in lists)
                found = (fault.under(i, self._name(rows[i], j)) for i, fault in bad if fault is not None)
                faults += islice(found, MAX_FAULTS)
        if faults:
            return None, sorted(faults, key=lambda f: f.loc[0])[:MAX_FAULTS]
        return self._array([row for _, row in lists]), []

    def _numbers(self, rows: Sequence[list[Any]], numbers: bool) -> np.ndarray | None:
        """float64 of shape (n_rows, n_columns), or None when any cell needs a closer look."""
        if not (numbers or all(_NUMBERS.issuperset(map(type, row)) for row in rows)):
            return None
        # NumPy's own conversion takes several times as long, and so do its comparisons for one row.
        if len(rows) == 1:
            cells = rows[0]
            if not hypot(*cells) <= self._radius and not (
                all(map(le, self._lows, cells)) and all(map(ge, self._highs, cells))
            ):
                return None
            matrix = np.empty((1, len(cells)))
            self._row.pack_into(matrix.data, 0, *cells)
        else:
            packed = bytearray(b"".join(starmap(self._row.pack, rows)))
            matrix = np.frombuffer(packed).reshape(len(rows), len(self.columns))
            if (
                not (matrix.max() <= self._radius and matrix.min() >= -self._radius)
                and not ((matrix >= self._low) & (matrix <= self._high)).all()
            ):
                return None
        if self._has_ints:
            integers = matrix[:, self._ints]
            if not (integers == np.floor(integers)).all():
                return None
        return matrix

    def _positional(self, row: Any) -> list[Any] | tuple[Fault, ...]:
        """The row's values in the order of the columns, or what is wrong with its form."""
        if isinstance(row, list):
            if len(row) == len(self.columns):
                return row
            return (Fault((), "wrong number of values", f"{len(self.columns)} values", f"{len(row)} values"),)
        if not isinstance(row, dict):
            return (Fault((), "not a row", "a list of values, or an object of values by name", shown(row)),)
        if not self.signature.named:
            if len(row) == len(self.columns):
                return [row[name] for name in sorted(row)]
            expected = f"{len(self.columns)} names, taken in the text order of the names"
            return (Fault((), "wrong number of names", expected, f"{len(row)} names"),)
        if row.keys() == self.names:
            return [row[column.name] for column in self.columns]
        return self._by_name(row)

    def _name(self, row: Any, j: int) -> str:
        """What the client calls the cell: its own name for it where the model recorded none."""
        own = not self.signature.named and isinstance(row, dict)
        return sorted(row)[j] if own else self.columns[j].name

    def _by_name(self, row: dict[str, Any]) -> list[Any] | tuple[Fault, ...]:
        unknown = islice((name for name in row if name not in self.names), MAX_FAULTS)
        faults = [unknown_name(name, self.names) for name in unknown]
        faults += [
            Fault((c.name,), "missing", describe(c)) for c in self.columns if c.required and c.name not in row
        ]
        if not faults:
            return [row.get(column.name, column.default) for column in self.columns]
        present = ((c.name, check_cell(c, row[c.name])) for c in self.columns if c.name in row)
        return (*faults, *(fault.under(name) for name, fault in present if fault is not None))

    def _array(self, rows: list[list[Any]]) -> np.ndarray:
        if self.signature.numeric:
            return np.array(rows, dtype=np.float64).reshape(len(rows), len(self.columns))
        array = np.empty((len(rows), len(self.columns)), dtype=object)
        for i, row in enumerate(rows):
            array[i] = row
        return array


def column_holds(column: Column, cells: list[Any]) -> bool:
    """Whether every cell is a value of the column, judged as a whole wherever that can be done."""
    kinds = set(map(type, cells))
    if column.nullable and type(None) in kinds:
        cells = [c for c in cells if c is not None]
        kinds.discard(type(None))
    if column.dtype in _TYPES and not kinds <= _TYPES[column.dtype]:
        return False
    if not cells:
        return True
    if column.dtype in ("float", "int") and column.values is None:
        numbers = np.array(cells, dtype=np.float64)
        whole = column.dtype == "float" or bool((numbers == np.floor(numbers)).all())
        return whole and bool(((numbers >= _low(column)) & (numbers <= _high(column))).all())
    if kinds & {list, dict}:
        return False
    if column.values is not None:
        return set(map(_typed, cells)) <= set(map(_typed, column.values))
    return all(check_cell(column, cell) is None for cell in set(cells))


def check_cell(column: Column, value: Any) -> Fault | None:
    """What is wrong with one value of the column, if anything; the location is empty."""
    kind = type(value)
    if value is None:
        return None if column.nullable else Fault((), "null is not allowed", describe(column), None)
    if column.values is not None:
        typed = _typed(value)
        if value in column.values and any(typed == _typed(allowed) for allowed in column.values):
            return None
        return Fault((), "not an allowed value", describe(column), shown(value))
    if kind not in _TYPES[column.dtype]:
        return Fault((), f"{_KINDS.get(kind, kind.__name__)} is not allowed", describe(column), shown(value))
    if column.dtype in ("float", "int"):
        number = float(value)  # as NumPy takes it
        if column.dtype == "int" and not number.is_integer():
            return Fault((), "not an integer", describe(column), value)
        if abs(number) > _LARGEST[column.dtype]:
            return Fault((), f"beyond ±{_LARGEST[column.dtype]}", describe(column), value)
        if not _low(column) <= number <= _high(column):
            return Fault((), "out of range", describe(column), value)
    if column.dtype == "string" and not (column.min_length or 0) <= len(value) <= (
        column.max_length or len(value)
    ):
        return Fault((), "wrong length", describe(column), shown(value))
    if column.dtype == "date" and not _is_date(value):
        return Fault((), "not a date", describe(column), shown(value))
    return None


def describe(column: Column) -> str:
    """What the column takes, as an error message says it."""
    if column.values is not None:
        listed = ", ".join(str(v) for v in column.values[:20])
        return f"one of: {listed}" + (f" .. ({len(column.values)} in all)" if len(column.values) > 20 else "")
    what = {
        "float": "a number",
        "int": "an integer",
        "bool": "true or false",
        "date": "a date YYYY-MM-DD",
    }.get(column.dtype, "text")
    if column.minimum is not None or column.maximum is not None:
        what += _between(column.minimum, column.maximum, "")
    if column.min_length is not None or column.max_length is not None:
        what += _between(column.min_length, column.max_length, " characters")
    return f"{what} or null" if column.nullable else what


def unknown_name(name: str, known: Collection[str]) -> Fault:
    """The fault of a name that is not among the known ones, with the nearest of them if there are not too many."""
    name = name[:100]
    near = difflib.get_close_matches(name, known, n=1) if len(known) <= SUGGEST_AMONG else []
    expected = f"did you mean {near[0]!r}?" if near else f"one of: {', '.join(sorted(known)[:20])}"
    return Fault((name,), UNKNOWN_NAME, expected, name)


def shown(value: Any) -> Any:
    """A value as an error may repeat it: short, and never a whole list or object."""
    if isinstance(value, (list, dict)):
        return f"{_KINDS[type(value)]} of {len(value)}"
    return value[:100] if isinstance(value, str) else value


def _between(low: float | None, high: float | None, unit: str) -> str:
    if low is None or high is None:
        return f" of at most {high}{unit}" if low is None else f" of at least {low}{unit}"
    return f" from {low} to {high}{unit}"


def _low(column: Column) -> float:
    lowest = -_LARGEST.get(column.dtype, np.inf)
    return lowest if column.minimum is None else max(lowest, column.minimum)


def _high(column: Column) -> float:
    highest = _LARGEST.get(column.dtype, np.inf)
    return highest if column.maximum is None else min(highest, column.maximum)


def _typed(value: Any) -> tuple[type, Any]:
    """The value as JSON compares it: 1 is 1.0, but it is not true, although Python calls them equal."""
    kind = type(value)
    return (float if kind is int else kind, value)


def _is_date(value: str) -> bool:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True
