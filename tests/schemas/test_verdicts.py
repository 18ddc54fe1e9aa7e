"""Tests that all forms of a row get one verdict: single, in a batch, as a list, by name."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from models.signature import Column, Signature
from schemas.matrix import MAX_FAULTS, Rows
from tests.lengths import in_two_lengths, try_examples
from tests.schemas.reading import signature

LIMITS = st.sampled_from([None, None, -1, 0, 0.5, 2, 2**53, -(2**60)])

CELLS = st.one_of(
    st.sampled_from(
        [
            0,
            1,
            2,
            -1,
            1.0,
            1.9,
            -0.0,
            0.5,
            2**53 - 1,
            2**53,
            2**53 + 1,
            2**64 - 1,
            -(2**63),
            1e38,
            1e300,
            5e-324,
        ]
    ),
    st.sampled_from(
        [True, False, None, "", "1", "x", "yes", "2026-01-31", "2026-02-30", "longer", [], {}, [1]]
    ),
    st.sampled_from(
        [
            "1999-12-31",
            "9999-12-31",
            "2026-01-31T10:00:00",
            "2026-01-31 09:59:59.999999999",
            "2026-02-30T10:00:00Z",
            "2026-01-31T10:00:00.5Z",
            "2026-01-31T11:00:00+01:30",
            "2026-01-31T24:00:00Z",
        ]
    ),
    st.integers(-5, 5),
    st.floats(-3, 3, width=32),
)


@st.composite
def columns(draw: st.DrawFn, name: str, dtypes: tuple[str, ...]) -> Column:
    """Draw a column of any type, with any constraints of this type."""
    dtype: Any = draw(st.sampled_from(dtypes))
    given: dict[str, Any] = {"nullable": draw(st.booleans())}
    if dtype == "date":
        given["minimum"] = draw(st.sampled_from([None, "2000-01-01"]))
        given["maximum"] = draw(st.sampled_from([None, "2262-04-11"]))
    elif dtype == "datetime":
        given["timezone"] = draw(st.sampled_from(["", "Europe/Berlin"]))
        bounds = [None, "2026-01-31T10:00:00" + ("+00:00" if given["timezone"] else "")]
        given |= {"minimum": draw(st.sampled_from(bounds)), "maximum": draw(st.sampled_from(bounds))}
    elif dtype in ("float", "int", "duration"):
        given |= {"minimum": draw(LIMITS), "maximum": draw(LIMITS)}
        if draw(st.integers(0, 4)) == 0:
            given = {"values": (0, 1, 2.5), "nullable": given["nullable"]}
    elif dtype == "string":
        given |= {
            "min_length": draw(st.sampled_from([None, 1])),
            "max_length": draw(st.sampled_from([None, 4])),
        }
    elif dtype == "category":
        given["values"] = draw(st.sampled_from([("x", "yes"), (0, 1), (True, "1"), (1.0, "x", False)]))
    return Column(name, dtype, **given)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Signature, list[list[Any]]]:
    """Draw a signature, and rows that mostly fit it in length and often in type."""
    numeric = draw(st.booleans())
    texts = ("bool", "string", "category", "date", "datetime")
    dtypes = ("float", "int", "duration") if numeric else ("float", "int", "duration", *texts)
    described = signature(*(draw(columns(f"c{j}", dtypes)) for j in range(draw(st.integers(1, 3)))))
    good = [_fitting(column) for column in described.columns]
    cell = st.one_of(st.none(), CELLS)
    rows = []
    for _ in range(draw(st.integers(1, 4))):
        row = [fits if draw(st.integers(0, 5)) else draw(cell) for fits in good]
        rows.append(row)
    return described, rows


def _fitting(column: Column) -> Any:
    candidates = [1, 0.5, 0, -1, True, "x", "2026-01-31", None, 2.5, 2**54]
    candidates += ["2026-01-31T10:00:00", "2026-01-31T10:00:00Z"]
    return next((value for value in candidates if allowed(column, value)), 0)


def allowed(column: Column, value: Any) -> bool:
    """Return whether a cell is valid, by a second and slow implementation of the rules."""
    if value is None:
        return column.nullable
    if isinstance(value, (list, dict)):
        return False
    if column.values is not None:
        return any(value == v and isinstance(value, bool) == isinstance(v, bool) for v in column.values)
    if column.dtype == "bool":
        return isinstance(value, bool)
    if column.dtype == "string":
        longest = math.inf if column.max_length is None else column.max_length
        return isinstance(value, str) and (column.min_length or 0) <= len(value) <= longest
    if column.dtype == "date":
        return (
            isinstance(value, str)
            and bool(re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", value))
            and _exists(value)
            and (column.minimum or value) <= value <= (column.maximum or value)
        )
    if column.dtype == "datetime":
        return isinstance(value, str) and _is_datetime(column, value)
    if isinstance(value, (bool, str)):
        return False
    if column.dtype == "int" and (float(value) != math.floor(value) or abs(value) > 2**53 - 1):
        return False
    if abs(value) > 3.4028234663852886e38:
        return False
    low = -math.inf if column.minimum is None else column.minimum
    high = math.inf if column.maximum is None else column.maximum
    return low <= float(value) <= high


def _is_datetime(column: Column, value: str) -> bool:
    """Return whether pandas parses the text as a date-time."""
    form = "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?"
    if not re.fullmatch(form + ("(Z|[+-][0-9]{2}:[0-9]{2})" if column.timezone else ""), value):
        return False
    try:
        moment = pd.Timestamp(value)
    except ValueError:
        return False
    lowest, highest = (
        moment if bound is None else pd.Timestamp(bound) for bound in (column.minimum, column.maximum)
    )
    return bool(lowest <= moment <= highest)


def _exists(day: str) -> bool:
    try:
        date.fromisoformat(day)
    except ValueError:
        return False
    return True


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Return whether cells are equal, including NaN and the signs of zeros."""
    return one.dtype == other.dtype and repr(one.tolist()) == repr(other.tolist())


@in_two_lengths(300, 1500)
def test_a_batch_is_judged_cell_by_cell(examples: int) -> None:
    def check(case: tuple[Signature, list[list[Any]]]) -> None:
        described, rows = case
        wrong = [
            (i, column.name)
            for i, row in enumerate(rows)
            for column, cell in zip(described.columns, row, strict=True)
            if not allowed(column, cell)
        ]
        matrix, faults = Rows(described).read(rows)
        assert [fault.loc for fault in faults] == wrong[:MAX_FAULTS]
        assert (matrix is None) == bool(wrong)
        if matrix is not None:
            assert matrix.shape == (len(rows), len(described.columns))
            assert matrix.dtype == (np.float64 if described.numeric else object)
            for cell, found in zip((c for row in rows for c in row), matrix.ravel().tolist(), strict=True):
                if matrix.dtype == object:
                    assert found is cell
                else:
                    assert math.isnan(found) if cell is None else found == float(cell)

    try_examples(examples, check, cases())


@in_two_lengths(200, 1000)
def test_the_form_of_a_row_changes_nothing(examples: int) -> None:
    def check(case: tuple[Signature, list[list[Any]]], by_name: list[bool]) -> None:
        described, rows = case
        names = [column.name for column in described.columns]
        mixed = [
            dict(zip(names, row, strict=True)) if named else row
            for row, named in zip(rows, by_name, strict=False)
        ]
        reader = Rows(described)
        (one, one_faults), (other, other_faults) = reader.read(rows), reader.read(mixed)
        assert one_faults == other_faults
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert same(one, other)

    try_examples(examples, check, cases(), st.lists(st.booleans(), min_size=4, max_size=4))


@in_two_lengths(200, 1000)
def test_a_row_is_judged_alike_alone_and_among_others(examples: int) -> None:
    def check(case: tuple[Signature, list[list[Any]]]) -> None:
        described, rows = case
        reader = Rows(described)
        together, faults = reader.read(rows)
        alone = [reader.read([row]) for row in rows]
        expected = [
            replace(fault, loc=(i, *fault.loc[1:])) for i, (_, found) in enumerate(alone) for fault in found
        ]
        assert faults == expected
        if together is not None:
            parts = [matrix for matrix, _ in alone if matrix is not None]
            assert same(np.concatenate(parts), together)

    try_examples(examples, check, cases())


@in_two_lengths(100, 300)
def test_the_quick_way_of_a_row_takes_nothing_that_the_thorough_one_refuses(examples: int) -> None:
    def check(case: tuple[Signature, list[list[Any]]]) -> None:
        described, rows = case
        reader = Rows(described)
        quick = all(c.dtype in ("float", "int", "duration") and c.values is None for c in described.columns)
        for row in rows:
            (found, _), one = reader.read([row]), reader.read_one(row)
            if one is None:
                assert found is None or not quick
            else:
                assert found is not None
                assert same(one, found)
                if all(type(cell) in (int, float) for cell in row):
                    assert same(reader.read_one(row, numbers=True), one)  # type: ignore[arg-type]

    try_examples(examples, check, cases())
