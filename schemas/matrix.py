"""The conversion of rows from JSON to one ndarray, or to all faults with their locations.

Columns are validated as a whole. Single cells are inspected only to describe a fault.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from itertools import islice, starmap
from math import hypot, nan
from operator import ge, le
from struct import Struct
from typing import Any

import numpy as np

from models.errors import Fault
from models.signature import MEASURED, Signature
from schemas.cells import Cells, shown

#: The largest number of faults in one reply.
MAX_FAULTS = 50
UNKNOWN_NAME = "unknown name"

#: The largest number of names among which a similar one is suggested; more take too long if there are many
#: faults.
SUGGEST_AMONG = 50

_NUMBERS = frozenset({int, float})


class Rows:
    """The reader of rows for one signature. It precomputes all that depends only on the signature."""

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        self.columns = signature.columns
        self.names = dict.fromkeys(column.name for column in signature.columns).keys()
        self.cells = [Cells(c, coerce=signature.coerce) for c in self.columns]
        self._one_text = signature.one_text
        self.expected_row = "a list of values, or an object of values by name" + (
            ", or the text itself" if signature.one_text else ""
        )
        plain = all(c.dtype in MEASURED and c.values is None for c in self.columns)
        self._plain = plain
        nullable = np.array([c.nullable for c in self.columns])
        self._nullable = nullable if nullable.any() else None
        self._kinds = _NUMBERS if self._nullable is None else _NUMBERS | {type(None)}
        self._lows = [float(c.low) for c in self.cells if plain]
        self._highs = [float(c.high) for c in self.cells if plain]
        self._low, self._high = np.array(self._lows), np.array(self._highs)
        self._ints = np.array([c.dtype == "int" for c in self.columns])
        self._has_ints = bool(self._ints.any())
        # No cell is larger than the norm of its row, so a row with a small norm is within all limits. Half
        # the smallest limit leaves room for rounding. A norm of NaN compares as not small.
        self._radius = min((*self._highs, *(-low for low in self._lows)), default=0.0) / 2
        self._row = Struct(f"{len(self.columns)}d")

    def read_one(self, row: Any, *, numbers: bool = False) -> np.ndarray | None:
        """Return a row of shape (1, n_columns) if it is a valid list of numbers; else None: use ``read``.

        ``numbers`` is the same as in ``read``.
        """
        if not (self._plain and type(row) is list and len(row) == len(self.columns)):
            return None
        try:
            return self._one(row) if numbers else self._numbers((row,), numbers)
        except (TypeError, OverflowError):  # a nested list, or a number outside the range of a float
            return None

    def read(self, rows: Sequence[Any], *, numbers: bool = False) -> tuple[np.ndarray | None, list[Fault]]:
        """Return an ndarray of shape (n_rows, n_columns), or None and the faults, 50 at most.

        ``rows`` are lists of values, or objects by name. ``numbers`` tells that all cells are known to be
        numbers, so their types need not be compared. Faults have the location (row, column name).
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
        read = [row for _, row in lists]
        if self.signature.coerce:
            read = [[c.read(v) for c, v in zip(self.cells, row, strict=True)] for row in read]
        if self._plain and read and not faults:  # by name, or with numbers that were sent as text
            matrix = self._numbers(read, numbers=False)
            if matrix is not None:
                return matrix, []
        wrong: list[tuple[int, int, Fault]] = []
        for j, column in enumerate(self.cells):
            if len(faults) + len(wrong) >= MAX_FAULTS:
                break
            if not column.hold([row[j] for row in read]):
                judged = ((i, j, column.fault(row[j])) for i, row in lists)
                wrong += islice(((i, j, fault) for i, j, fault in judged if fault is not None), MAX_FAULTS)
        if faults or wrong:
            names = {i: self._names(rows[i]) for i in {i for i, _, _ in wrong}}
            faults += [fault.under(i, names[i][j]) for i, j, fault in wrong]
            return None, sorted(faults, key=lambda f: f.loc[0])[:MAX_FAULTS]
        return self._array(read), []

    def _numbers(self, rows: Sequence[list[Any]], numbers: bool) -> np.ndarray | None:
        """Return a float64 array of shape (n_rows, n_columns); None if a cell must be validated alone."""
        missing = False
        if not numbers:
            if not all(self._kinds.issuperset(map(type, row)) for row in rows):
                return None
            missing = self._nullable is not None and any(None in row for row in rows)
            if missing:
                rows = [[nan if cell is None else cell for cell in row] for row in rows]
        if len(rows) == 1 and not missing:
            return self._one(rows[0])
        packed = bytearray(b"".join(starmap(self._row.pack, rows)))
        matrix = np.frombuffer(packed).reshape(len(rows), len(self.columns))
        if not (matrix.max() <= self._radius and matrix.min() >= -self._radius):
            inside = (matrix >= self._low) & (matrix <= self._high)
            if not (inside | (np.isnan(matrix) & self._nullable) if missing else inside).all():
                return None
        if self._has_ints:
            integers = matrix[:, self._ints]
            whole = integers == np.floor(integers)
            if not (whole | np.isnan(integers) if missing else whole).all():
                return None
        return matrix

    def _one(self, cells: list[Any]) -> np.ndarray | None:
        """Do the same for one row. NumPy's conversion and comparisons take several times as long."""
        if not hypot(*cells) <= self._radius and not (
            all(map(le, self._lows, cells)) and all(map(ge, self._highs, cells))
        ):
            return None
        matrix = np.empty((1, len(cells)))
        self._row.pack_into(matrix.data, 0, *cells)
        if self._has_ints:
            integers = matrix[:, self._ints]
            if not (integers == np.floor(integers)).all():
                return None
        return matrix

    def _positional(self, row: Any) -> list[Any] | tuple[Fault, ...]:
        """Return the row's values in the order of the columns, or the faults of its form."""
        if isinstance(row, list):
            if len(row) == len(self.columns):
                return row
            return (Fault((), "wrong number of values", f"{len(self.columns)} values", f"{len(row)} values"),)
        if isinstance(row, str) and self._one_text:
            return [row]
        if not isinstance(row, dict):
            return (Fault((), "not a row", self.expected_row, shown(row)),)
        if not self.signature.named:
            if len(row) == len(self.columns):
                return [row[name] for name in sorted(row)]
            expected = f"{len(self.columns)} names, whose values are read in the sorted order of the names"
            return (Fault((), "wrong number of names", expected, f"{len(row)} names"),)
        if row.keys() == self.names:
            return [row[column.name] for column in self.columns]
        return self._by_name(row)

    def _names(self, row: Any) -> list[str]:
        """Return the client's names of the cells: its own if the model recorded none."""
        own = not self.signature.named and isinstance(row, dict)
        return sorted(row) if own else [column.name for column in self.columns]

    def _by_name(self, row: dict[str, Any]) -> list[Any] | tuple[Fault, ...]:
        unknown = (unknown_name(name, self.names) for name in row if name not in self.names)
        missing = (
            Fault((c.column.name,), "missing", c.expected)
            for c in self.cells
            if c.column.required and c.column.name not in row
        )
        faults = [*islice(unknown, MAX_FAULTS), *islice(missing, MAX_FAULTS)]
        if not faults:
            return [row.get(column.name, column.default) for column in self.columns]
        present = ((c.column.name, c.fault(row[c.column.name])) for c in self.cells if c.column.name in row)
        faults += islice((fault.under(name) for name, fault in present if fault is not None), MAX_FAULTS)
        return tuple(faults)

    def _array(self, rows: list[list[Any]]) -> np.ndarray:
        if self.signature.numeric:
            return np.array(rows, dtype=np.float64).reshape(len(rows), len(self.columns))
        array = np.empty((len(rows), len(self.columns)), dtype=object)
        for i, row in enumerate(rows):
            array[i] = row
        return array


def unknown_name(name: str, known: Collection[str]) -> Fault:
    """Return the fault of an unknown name, with the most similar known name if there are not too many."""
    name = name[:100]
    few = len(known) <= SUGGEST_AMONG
    near = difflib.get_close_matches(name, known, n=1) if few else []
    listed = ", ".join(islice(sorted(known) if few else known, 20)) + (
        f" .. ({len(known)} in all)" if len(known) > 20 else ""
    )
    expected = f"did you mean {near[0]!r}?" if near else f"one of: {listed}"
    return Fault((name,), UNKNOWN_NAME, expected, name)
