"""Tests of rows: the rules of each column, and no conversion of other types to numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.signature import Column
from schemas.cells import Cells, describe
from schemas.matrix import MAX_FAULTS
from tests.cost import cost
from tests.schemas.reading import faults, matrix, places, rows

NUMBERS = rows(Column("a"), Column("b"), Column("c"))

#: What NumPy would turn into a number without a word.
TRAPS = [
    pytest.param(True, "boolean", id="a boolean"),
    pytest.param(False, "boolean", id="the other boolean"),
    pytest.param("5.1", "text", id="a numeric string"),
    pytest.param("", "text", id="empty text"),
    pytest.param("NaN", "text", id="NaN as text"),
    pytest.param(None, "null", id="null"),
    pytest.param([1.0], "list", id="a list of one number"),
    pytest.param({}, "object", id="an object"),
]


@pytest.mark.parametrize(("trap", "called"), TRAPS)
@pytest.mark.parametrize("form", ["lists", "objects", "both"])
@pytest.mark.parametrize("column", [0, 1, 2])
@pytest.mark.parametrize("row", [0, 1, 3])
def test_one_cell_that_is_no_number_is_found_in_every_place(
    trap: Any, called: str, form: str, column: int, row: int
) -> None:
    batch: list[Any] = [[1.5, 2, 3.5] for _ in range(4)]
    batch[row][column] = trap
    if form != "lists":
        batch[row] = dict(zip("abc", batch[row], strict=True))
    if form == "objects":
        batch = [r if isinstance(r, dict) else dict(zip("abc", r, strict=True)) for r in batch]
    (fault,) = faults(NUMBERS, batch)
    assert fault.loc == (row, "abc"[column])
    assert called in fault.msg
    assert fault.expected == "a number"


def test_numbers_become_a_matrix_of_exactly_these_numbers() -> None:
    given = [[0.1, -0.0, 3.4e38], [3, 5e-324, 2**53 - 1], [2**64 - 1, 1 / 3, -(2**63)]]
    found = matrix(NUMBERS, given)
    assert found.dtype == np.float64
    assert found.tolist() == [[float(cell) for cell in row] for row in given]
    assert np.signbit(found[0, 1])


def test_a_number_just_beyond_a_limit_is_found_among_others() -> None:
    limited = rows(Column("a", maximum=0.7), Column("n", "int"), Column("c"))
    for row in ([np.nextafter(0.7, 1), 0, 0.0], [0.5, 2**53, 1e-300], [0.5, 1, 3.5e38], [0.5, 10**400, 1.0]):
        assert limited.read_one(row) is None
    assert np.array_equal(limited.read_one([0.7, 2**53 - 1, 3.4e38]), [[0.7, 2**53 - 1, 3.4e38]])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("limited", [NUMBERS, rows(Column("a", minimum=1.0), Column("b"), Column("c"))])
def test_what_json_has_no_word_for_is_no_number(limited: Any, value: float) -> None:
    """A table from a file may contain such values."""
    row = [1.0, value, 2.0]
    assert limited.read_one(row) is None
    for batch in ([row], [row, [1.0, 2.0, 3.0]]):
        assert places(faults(limited, batch)) == [(0, "b")]


def test_a_row_may_be_as_long_as_its_largest_cells_make_it() -> None:
    for given in ([3.4e38, -3.4e38, 3.4e38], [2**64 - 1, 0, -3.4e38]):
        assert matrix(NUMBERS, [given]).tolist() == [[float(cell) for cell in given]]
        assert np.array_equal(NUMBERS.read_one(given), [[float(cell) for cell in given]])


def test_a_value_far_outside_of_the_training_data_is_taken() -> None:
    """It is drift and not an error."""
    seen = rows(Column("a", observed=(4.3, 7.9)), Column("n", "int", observed=(0, 3)))
    assert matrix(seen, [[-1e9, 10**6]]).tolist() == [[-1e9, 1e6]]


@pytest.mark.parametrize("value", [1.9, -0.5, 1e-300, 2**51 + 0.5])
def test_a_fraction_is_no_integer(value: float) -> None:
    (fault,) = faults(rows(Column("n", "int")), [[1], [value]])
    assert (fault.loc, fault.msg, fault.expected, fault.got) == (
        (1, "n"),
        "not an integer",
        "an integer",
        value,
    )


def test_a_number_without_a_fraction_is_an_integer_however_it_is_written() -> None:
    assert matrix(rows(Column("n", "int")), [[2], [2.0], [-3e2]]).tolist() == [[2.0], [2.0], [-300.0]]


@pytest.mark.parametrize("value", [2**53, 2**53 + 1, -(2**53), -(2**53) - 1, 2**63, 2.0**60, 1e300])
@pytest.mark.parametrize("beside", ["fine", "with a fault"])
def test_integers_that_a_float_cannot_hold_exactly_are_refused(value: float, beside: str) -> None:
    wide = rows(Column("n", "int"), Column("bounded", "int", minimum=0, maximum=2**60), Column("x"))
    other = 1.0 if beside == "fine" else None
    found = faults(wide, [[1, abs(value), other], [value, 1, 1.0]])
    assert (0, "bounded") in places(found)
    assert (1, "n") in places(found)


def test_the_largest_exact_integers_are_taken() -> None:
    edge = 2**53 - 1
    assert matrix(rows(Column("n", "int")), [[edge], [-edge]]).tolist() == [[float(edge)], [float(-edge)]]


@pytest.mark.parametrize("value", [1e39, -1e39, 1.7e308])
@pytest.mark.parametrize(
    "column", [Column("a"), Column("a", minimum=-1e300, maximum=1e300), Column("a", nullable=True)]
)
def test_floats_that_models_cannot_hold_are_refused(column: Column, value: float) -> None:
    """Trees compute in float32 and raise for larger numbers; other models overflow to NaN."""
    (fault,) = faults(rows(column), [[1], [value]])
    assert (fault.loc, fault.msg, fault.got) == ((1, "a"), "beyond ±3.4028234663852886e+38", value)
    assert matrix(rows(column), [[3.4e38], [-3.4e38]]).tolist() == [[3.4e38], [-3.4e38]]


def test_a_float_column_takes_large_integers_as_the_nearest_float() -> None:
    assert matrix(rows(Column("a")), [[2**53 + 1]]).tolist() == [[float(2**53)]]


@pytest.mark.parametrize(
    ("column", "inside", "outside"),
    [
        (Column("a", minimum=0.8, maximum=0.99), [0.8, 0.99, 0.9], [0.79999, 0.9900001, -1]),
        (Column("a", minimum=0.0), [0, -0.0, 3.4e38], [-1e-9]),
        (Column("a", maximum=10), [10, 10.0, -3.4e38], [10.000001]),
        (Column("n", "int", minimum=1, maximum=30), [1, 30, 2.0], [0, 31, -1]),
        (Column("s", "string", min_length=1, max_length=3), ["a", "abc", "äöü"], ["", "abcd"]),
        (Column("s", "string", min_length=2), ["ab", "x" * 1000], ["a"]),
        (Column("g", "int", values=(1, 2, 3)), [1, 3, 2.0], [0, 4, 1.5]),
        (Column("t", "string", values=("up", "down")), ["up"], ["Up", "", "sideways"]),
    ],
)
def test_declared_constraints_hold_to_their_ends(
    column: Column, inside: list[Any], outside: list[Any]
) -> None:
    reader = rows(column)
    assert matrix(reader, [[value] for value in inside]).shape == (len(inside), 1)
    assert places(faults(reader, [[value] for value in outside])) == [
        (i, column.name) for i in range(len(outside))
    ]
    for value in outside:
        (fault,) = faults(reader, [[inside[0]], [value]])
        assert fault.expected == describe(column)
        assert fault.got == value


@pytest.mark.parametrize("value", ["yes", "true", "True", "", 1, 0, 1.0, 0.0, None, []])
def test_only_true_and_false_are_booleans(value: Any) -> None:
    (fault,) = faults(rows(Column("b", "bool")), [[True], [value], [False]])
    assert fault.loc == (1, "b")
    assert fault.expected == "true or false"


def test_booleans_are_one_and_zero_in_a_numeric_matrix() -> None:
    found = matrix(rows(Column("b", "bool"), Column("a")), [[True, 2.5], [False, 3]])
    assert found.dtype == np.float64
    assert found.tolist() == [[1.0, 2.5], [0.0, 3.0]]


@pytest.mark.parametrize("value", [5, 5.1, True, None, ["x"], {"x": 1}])
def test_text_is_text_only(value: Any) -> None:
    (fault,) = faults(rows(Column("s", "string")), [["a"], [value]])
    assert fault.loc == (1, "s")


def test_one_true_and_1_are_three_categories() -> None:
    """They are equal in Python, but not in JSON."""
    assert places(faults(rows(Column("c", "category", values=(1, 2))), [[1], [1.0], [True], ["1"]])) == [
        (2, "c"),
        (3, "c"),
    ]
    assert places(
        faults(rows(Column("c", "category", values=(True, "x"))), [[True], [1], [1.0], ["x"], [False]])
    ) == [
        (1, "c"),
        (2, "c"),
        (4, "c"),
    ]
    assert places(faults(rows(Column("c", "category", values=("1", "0"))), [["1"], [1], [True], ["0"]])) == [
        (1, "c"),
        (2, "c"),
    ]


def test_a_category_that_is_none_of_the_values_is_told_all_of_them() -> None:
    (fault,) = faults(rows(Column("c", "category", values=("web", "shop"))), [["phone"]])
    assert (fault.msg, fault.expected, fault.got) == ("not an allowed value", "one of: web, shop", "phone")


def test_a_batch_over_thousands_of_categories_costs_what_one_over_few_costs() -> None:
    def read(categories: int) -> None:
        assert matrix(readers[categories], given).tolist() == given
        assert len(faults(readers[categories], [[f"no {value}"] for (value,) in given])) == MAX_FAULTS

    few, many = 1000, 50_000
    readers = {n: rows(Column("c", "category", values=tuple(map(str, range(n))))) for n in (few, many)}
    given = [[str(i)] for i in range(1000)]
    assert cost(lambda: read(many)) < 5 * cost(lambda: read(few))


@pytest.mark.parametrize("value", [["web"], {"web": 1}])
def test_a_list_or_an_object_is_no_category(value: Any) -> None:
    (fault,) = faults(rows(Column("c", "category", values=("web", "shop"))), [["web"], [value]])
    assert fault.loc == (1, "c")


@pytest.mark.parametrize(
    "day", ["2026-02-29", "2026-13-01", "26-01-01", "2026-1-1", "2026-01-01T00:00:00", "20260101"]
)
@pytest.mark.parametrize("suffix", ["", " ", "\n"])
def test_a_date_is_a_day_that_exists_and_nothing_more(day: str, suffix: str) -> None:
    (fault,) = faults(rows(Column("d", "date")), [["2024-02-29"], [day + suffix]])
    assert (fault.loc, fault.msg, fault.expected) == ((1, "d"), "not a date", "a date YYYY-MM-DD")


def test_digits_of_other_scripts_are_no_date() -> None:
    assert places(
        faults(rows(Column("d", "date")), [["２０２６-01-01"], ["2026-01-01 "], ["2026-01-01"]])
    ) == [
        (0, "d"),
        (1, "d"),
    ]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (Column("v", nullable=True), 1.5),
        (Column("v", "int", nullable=True, minimum=0), 3),
        (Column("v", "bool", nullable=True), True),
    ],
)
def test_null_is_nan_where_a_numeric_column_takes_it(column: Column, value: Any) -> None:
    found = matrix(rows(column, Column("a")), [[None, 1], [value, 2]])
    assert found.dtype == np.float64
    assert np.isnan(found[0, 0]) and found[1, 0] == float(value)
    assert matrix(rows(column), [[None]]).shape == (1, 1)


def test_null_stays_none_beside_text() -> None:
    reader = rows(
        Column("s", "string", nullable=True),
        Column("c", "category", values=("x",), nullable=True),
        Column("a"),
    )
    found = matrix(reader, [[None, "x", 1], ["t", None, 2.5]])
    assert found.dtype == object
    assert found.tolist() == [[None, "x", 1], ["t", None, 2.5]]


def test_a_column_that_takes_null_takes_nothing_else_that_is_wrong() -> None:
    reader = rows(Column("v", "int", nullable=True), Column("s", "string", nullable=True))
    assert places(faults(reader, [[None, None], [1.5, 5], ["1", True]])) == [
        (1, "v"),
        (1, "s"),
        (2, "v"),
        (2, "s"),
    ]


@pytest.mark.parametrize("row", [[1, 2], [1, 2, 3, 4], []])
def test_a_row_of_the_wrong_length_is_told_both_numbers(row: list[int]) -> None:
    (fault,) = faults(NUMBERS, [[1, 2, 3], row])
    assert (fault.loc, fault.msg) == ((1,), "wrong number of values")
    assert (fault.expected, fault.got) == ("3 values", f"{len(row)} values")


@pytest.mark.parametrize("row", [1, "abc", None, True, 2.5])
def test_what_is_neither_a_list_nor_an_object_is_no_row(row: Any) -> None:
    (fault,) = faults(NUMBERS, [[1, 2, 3], row, {"a": 1, "b": 2, "c": 3}])
    assert (fault.loc, fault.msg, fault.got) == ((1,), "not a row", row)


def test_every_fault_is_told_at_once_in_the_order_of_the_rows() -> None:
    reader = rows(Column("a"), Column("n", "int"), Column("c", "category", values=("x", "y")))
    found = faults(
        reader, [["1", 1.5, "z"], [1, 1, "x"], [1], {"a": 1, "n": 1, "b": 2}, {"a": None, "n": 1, "c": "x"}]
    )
    assert places(found) == [(0, "a"), (0, "n"), (0, "c"), (2,), (3, "b"), (3, "c"), (4, "a")]


def test_fifty_faults_are_enough() -> None:
    assert len(faults(NUMBERS, [["x", "y", "z"] for _ in range(1000)])) == MAX_FAULTS == 50
    assert len(faults(NUMBERS, [{} for _ in range(1000)])) == MAX_FAULTS
    assert len(faults(NUMBERS, [{f"name{i}": 1 for i in range(1000)}])) == MAX_FAULTS


def test_a_long_value_is_not_repeated_whole() -> None:
    long = rows(Column("a"), Column("s", "string", max_length=10), Column("c", "category", values=("x",)))
    for fault in faults(long, [["x" * 1000, "y" * 1000, "z" * 1000], [[1] * 1000, {"k": 1}, [[]]]]):
        assert len(str(fault.got)) <= 100


def test_the_same_cell_is_judged_alike_alone_and_in_its_column() -> None:
    for column, good, bad in [
        (Column("a"), 1, True),
        (Column("n", "int"), 2.0, 2.5),
        (Column("c", "category", values=(1,)), 1.0, True),
    ]:
        assert Cells(column).fault(good) is None
        assert Cells(column).fault(bad) is not None
        assert matrix(rows(column), [[good]]).shape == (1, 1)
        assert places(faults(rows(column), [[good], [bad]])) == [(1, column.name)]
