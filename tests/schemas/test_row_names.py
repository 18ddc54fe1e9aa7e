"""Tests of rows by name, with any names and in any order."""

from __future__ import annotations

from typing import Any

import pytest

from models.signature import Column
from tests.cost import LARGEST_STEP, cost
from tests.schemas.reading import faults, matrix, places, rows, schemas

#: Names that marshmallow, Python or the envelope itself would trip over.
ODD_NAMES = [
    "Sepal.Length",
    "sepal length (cm)",
    " ",
    "Meta",
    "features",
    "inputs",
    "parameters",
    "class",
    "fields",
    "_schema",
    "many",
    "a.b.c",
    "..",
    "__init__",
    "opts",
    "Größe",
    "x[0]",
    'quoted "name"',
    "",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_column_may_have_any_name(name: str) -> None:
    reading = schemas(Column(name), Column("other"))
    for body in ({name: 1.5, "other": 2}, {"features": {"other": 2, name: 1.5}}, {"features": [1.5, 2]}):
        assert reading.read_single(body)[0].tolist() == [[1.5, 2.0]]
    batch = {"inputs": [{name: 1.5, "other": 2}, [3, 4]]}
    assert reading.read_batch(batch)[0].tolist() == [[1.5, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_fault_names_the_column_as_the_client_does(name: str) -> None:
    reader = rows(Column(name), Column("other"))
    assert places(faults(reader, [{name: "x", "other": 2}])) == [(0, name)]
    assert places(faults(reader, [{"other": 2}])) == [(0, name)]


@pytest.mark.parametrize(
    "name", [name for name in ODD_NAMES if name not in ("features", "inputs", "parameters")]
)
def test_a_parameter_may_have_any_name_but_the_words_of_the_envelope(name: str) -> None:
    reading = schemas(Column("a"), parameters=(Column(name, "int", default=3),))
    assert reading.read_single({"a": 1, name: 5})[1] == {name: 5}
    assert reading.read_single({"features": [1], "parameters": {name: 5}})[1] == {name: 5}
    assert reading.read_batch({"inputs": [[1]]})[1] == {name: 3}


def test_all_odd_names_live_beside_each_other() -> None:
    reading = schemas(*map(Column, ODD_NAMES))
    row = {name: float(i) for i, name in enumerate(ODD_NAMES)}
    shuffled = dict(reversed(row.items()))
    expected = [list(map(float, range(len(ODD_NAMES))))]
    assert reading.read_single(shuffled)[0].tolist() == expected
    assert reading.read_single({"features": shuffled})[0].tolist() == expected
    assert reading.read_batch({"inputs": [shuffled]})[0].tolist() == expected


def test_names_decide_and_not_their_order() -> None:
    reader = rows(Column("a"), Column("b"), Column("c"))
    assert matrix(reader, [{"c": 3, "a": 1, "b": 2}, [4, 5, 6], {"b": 8, "c": 9, "a": 7}]).tolist() == [
        [1, 2, 3],
        [4, 5, 6],
        [7, 8, 9],
    ]


def test_missing_and_unknown_names_are_told_together_with_the_nearest_known_one() -> None:
    reader = rows(Column("sepal_length"), Column("petal_width"), Column("colour", "string"))
    found = faults(reader, [{"sepal_lenght": 5.1, "petal_width": "0.2", "colour": "red"}])
    assert [(f.loc, f.msg) for f in found] == [
        ((0, "sepal_lenght"), "unknown name"),
        ((0, "sepal_length"), "missing"),
        ((0, "petal_width"), "text is not allowed"),
    ]
    assert found[0].expected == "did you mean 'sepal_length'?"
    assert found[1].expected == "a number"


def test_an_unknown_name_that_is_near_to_none_is_told_the_known_ones() -> None:
    (fault,) = faults(rows(Column("b"), Column("a")), [{"a": 1, "b": 2, "zzzzz": 3}])
    assert fault.expected == "one of: a, b"


def test_a_column_with_a_default_may_be_left_out_by_name_only() -> None:
    reader = rows(Column("a"), Column("gift", "bool", default=False), Column("s", "string", default="-"))
    assert matrix(reader, [{"a": 1}, {"a": 2, "gift": True}, [3, True, "x"]]).tolist() == [
        [1, False, "-"],
        [2, True, "-"],
        [3, True, "x"],
    ]
    assert places(faults(reader, [[1]])) == [(0,)]


def test_names_without_record_are_taken_in_text_order() -> None:
    """The oldest clients send names that the model did not record: f1, f10, f2."""
    reader = rows(Column("x0"), Column("x1"), Column("x2"), named=False)
    assert matrix(reader, [{"f2": 2, "f10": 10, "f1": 1}]).tolist() == [[1.0, 10.0, 2.0]]
    assert matrix(reader, [{"b": 2, "B": 1, "a": 0}]).tolist() == [[1.0, 0.0, 2.0]]
    assert matrix(reader, [{"f1": 1, "f2": 2, "f3": 3}, [4, 5, 6]]).tolist() == [[1, 2, 3], [4, 5, 6]]


def test_without_recorded_names_a_fault_has_the_client_s_own_name() -> None:
    reader = rows(Column("x0"), Column("x1"), Column("x2"), named=False)
    assert places(faults(reader, [{"f2": None, "f10": "x", "f1": 1}, [1, True, 3]])) == [
        (0, "f10"),
        (0, "f2"),
        (1, "x1"),
    ]


@pytest.mark.parametrize("row", [{"f1": 1}, {}, {"f1": 1, "f2": 2, "f3": 3, "f4": 4}])
def test_without_recorded_names_their_number_must_fit(row: dict[str, Any]) -> None:
    (fault,) = faults(rows(Column("x0"), Column("x1"), Column("x2"), named=False), [row])
    assert (fault.loc, fault.msg, fault.got) == ((0,), "wrong number of names", f"{len(row)} names")


@pytest.mark.parametrize(
    ("around", "batch"),
    [
        (lambda names: names, False),
        (lambda names: {"features": names}, False),
        (lambda names: {"features": [1] * 50, **names}, False),
        (lambda names: {"features": [1] * 50, "parameters": names}, False),
        (lambda names: {"inputs": [names]}, True),
    ],
)
def test_a_megabyte_of_unknown_names_is_refused_in_proportion(around: Any, batch: bool) -> None:
    known = [Column(f"a_rather_long_column_name_{i:03d}") for i in range(50)]
    reading = schemas(*known, parameters=(Column("k", "int", default=1),))
    read = reading.read_batch if batch else reading.read_single

    def refuse(names: int) -> None:
        with pytest.raises(Exception, match="unknown name"):
            read(around({f"a_rather_long_column_nome_{i:06d}": 1 for i in range(names)}))

    assert cost(lambda: refuse(30_000)) < LARGEST_STEP * cost(lambda: refuse(3_000))


def test_misspelling_every_name_of_a_very_wide_model_is_refused_in_proportion() -> None:
    def refuse(columns: int) -> None:
        body = {f"a_rather_long_colunm_name_{i:04d}": 1 for i in range(columns)}
        (first, *_) = faults(readers[columns], [body] * 50)
        assert first.expected.startswith("one of: a_rather_long_column_name_0000, ")

    readers = {
        n: rows(*(Column(f"a_rather_long_column_name_{i:04d}") for i in range(n))) for n in (100, 1000)
    }
    assert cost(lambda: refuse(1000)) < LARGEST_STEP * cost(lambda: refuse(100))
