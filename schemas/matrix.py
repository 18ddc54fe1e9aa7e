"""Which rows a JSON list holds: one ndarray, or every fault in it with its place.

Columns are checked as a whole; single cells are looked at only to describe a fault.
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

MAX_FAULTS = 50
UNKNOWN_NAME = "unknown name"

#: Comparing a name with more than these takes too long in a request that has many faults.
SUGGEST_AMONG = 50

_NUMBERS = frozenset({int, float})


class Rows:
    """Reads rows for one signature. Everything that depends on the signature alone is worked out once."""

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
        # No cell of a row is further from zero than the row is, so a short row is within all limits; half as short, so
        # that rounding does not matter. NaN is not shorter than anything.
        self._radius = min((*self._highs, *(-low for low in self._lows)), default=0.0) / 2
        self._row = Struct(f"{len(self.columns)}d")

    def read_one(self, row: Any, *, numbers: bool = False) -> np.ndarray | None:
        """A row of shape (1, n_columns) if it is a list of numbers as it should be; None for all that needs a closer look.
        ``numbers`` : as in ``read``."""
        if not (self._plain and type(row) is list and len(row) == len(self.columns)):
            return None
        try:
            return self._one(row) if numbers else self._numbers((row,), numbers)
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
        """float64 of shape (n_rows, n_columns), or None when any cell needs a closer look."""
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
        """The same for one row of numbers: NumPy's conversion takes several times as long, and so do its comparisons."""
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
        """The row's values in the order of the columns, or what is wrong with its form."""
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
            expected = f"{len(self.columns)} names, taken in the text order of the names"
            return (Fault((), "wrong number of names", expected, f"{len(row)} names"),)
        if row.keys() == self.names:
            return [row[column.name] for column in self.columns]
        return self._by_name(row)

    def _names(self, row: Any) -> list[str]:
        """What the client calls the cells: by its own names for them where the model recorded none."""
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
    """The fault of a name that is not among the known ones, with the nearest of them if there are not too many."""
    name = name[:100]
    few = len(known) <= SUGGEST_AMONG
    near = difflib.get_close_matches(name, known, n=1) if few else []
    listed = ", ".join(islice(sorted(known) if few else known, 20)) + (
        f" .. ({len(known)} in all)" if len(known) > 20 else ""
    )
    expected = f"did you mean {near[0]!r}?" if near else f"one of: {listed}"
    return Fault((name,), UNKNOWN_NAME, expected, name)
