"""Tests of limits, dates, optional columns and numbers as text, in every form of a request."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.signature import MAX_EXACT_INT, Column, Output, Signature
from schemas.predict import PredictSchemas
from schemas.properties import row_forms
from tests.schemas.reading import faults, matrix, places, refused, rows, schemas

#: A column, the last values inside of its limits, and the first ones outside.
LIMITED: list[tuple[Column, list[Any], list[Any]]] = [
    (Column("v", "int", minimum=0, maximum=255, limit_of="uint8"), [0, 255, 255.0], [-1, 256, 300, -200]),
    (Column("v", "int", minimum=-128, maximum=127, limit_of="int8"), [-128, 127], [-129, 128]),
    (Column("v", "int", minimum=-(2**31), maximum=2**31 - 1), [-(2**31), 2**31 - 1], [-(2**31) - 1, 2**31]),
    (Column("v", "int", minimum=0, maximum=2**64 - 1), [0, 2**53 - 1], [-1, 2**53, 2**64 - 1]),
    (
        Column("v", "float", minimum=-3.4028234663852886e38, maximum=3.4028234663852886e38),
        [3.4028234663852886e38, -3.4028234663852886e38],
        [3.402823466385289e38, 1e39, -1e39],
    ),
    (Column("v", "float", maximum=65504.0, limit_of="float16"), [65504, -1e6], [65505, 65504.1]),
    (Column("v", "duration", minimum=0, maximum=9223372036.854775), [0, 1.5], [-0.5, 9223372037]),
    (
        Column("v", "date", minimum="1677-09-22", maximum="2262-04-11", limit_of="datetime64[ns]"),
        ["1677-09-22", "2262-04-11"],
        ["1677-09-21", "2262-04-12", "9999-12-31", "0001-01-01"],
    ),
    (
        Column(
            "v", "datetime", minimum="1677-09-21T00:12:43.145224193", maximum="2262-04-11T23:47:16.854775807"
        ),
        ["1677-09-21T00:12:43.145224193", "2262-04-11 23:47:16.854775807"],
        ["1677-09-21T00:12:43.145224192", "2262-04-11T23:47:16.854775808", "9999-12-31T00:00:00"],
    ),
    (
        Column("v", "datetime", timezone="Europe/Berlin", maximum="2026-01-01T00:00:00Z"),
        ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", "2026-01-01T00:30:00.5+01:00"],
        ["2026-01-01T00:00:00-00:01", "2026-01-01T00:00:00.000000001Z"],
    ),
]


@pytest.mark.parametrize(("column", "inside", "outside"), LIMITED, ids=lambda c: getattr(c, "limit_of", None))
@pytest.mark.parametrize("beside", [(), (Column("s", "string"),)], ids=["alone", "beside text"])
def test_a_limit_holds_in_every_form_of_a_request(
    column: Column, inside: list[Any], outside: list[Any], beside: tuple[Column, ...]
) -> None:
    reading = schemas(column, *beside)
    more = ["x"] * len(beside)
    for value, fits in [*((v, True) for v in inside), *((v, False) for v in outside)]:
        named = dict(zip("vs", [value, *more], strict=False))
        good = [inside[0], *more]
        for read, body, place in (
            (reading.read_single, {"features": [value, *more]}, ("features", "v")),
            (reading.read_single, {"features": named}, ("features", "v")),
            (reading.read_single, named, ("v",)),
            (reading.read_batch, {"inputs": [[value, *more]]}, ("inputs", 0, "v")),
            (reading.read_batch, {"inputs": [good, [value, *more], good]}, ("inputs", 1, "v")),
            (reading.read_batch, {"inputs": [good, named]}, ("inputs", 1, "v")),
        ):
            if fits:
                found, _ = read(body)
                assert value in found[:, 0].tolist()
            else:
                (fault,) = refused(read, body)
                assert (fault.loc, fault.got) == (place, value)
                assert fault.msg in (
                    "out of range",
                    "beyond ±9007199254740991",
                    "beyond ±3.4028234663852886e+38",
                )
    assert rows(column).read_one([outside[0]]) is None


def test_a_limit_says_what_it_comes_from() -> None:
    (fault,) = faults(rows(Column("n", "int", minimum=0, maximum=255, limit_of="uint8")), [[256]])
    assert (fault.msg, fault.expected) == ("out of range", "an integer from 0 to 255 (uint8)")
    day = Column("d", "date", minimum="1677-09-22", maximum="2262-04-11", limit_of="datetime64[ns]")
    (fault,) = faults(rows(day), [["9999-12-31"]])
    assert fault.expected == "a date YYYY-MM-DD from 1677-09-22 to 2262-04-11 (datetime64[ns])"


@pytest.mark.parametrize("value", [2**53, 2**63, -(2**53)])
def test_an_id_that_no_json_number_can_hold_is_told_where_it_belongs(value: int) -> None:
    (fault,) = faults(rows(Column("account", "int")), [[value]])
    assert fault.msg == f"beyond ±{MAX_EXACT_INT - 1}"
    assert fault.expected == (
        "an integer; JSON numbers are exact only up to 9007199254740991, so a larger id must be text: "
        "publish the model with a text column for it"
    )
    assert matrix(rows(Column("account", "string")), [[str(value)]]).tolist() == [[str(value)]]


@pytest.mark.parametrize(
    ("column", "wrong", "expected"),
    [
        (
            Column("t", "datetime"),
            "2026-01-31T10:00:00Z",
            "a date-time YYYY-MM-DDThh:mm:ss without an offset",
        ),
        (
            Column("t", "datetime", timezone="UTC"),
            "2026-01-31T10:00:00",
            "a date-time YYYY-MM-DDThh:mm:ss ending in Z or in an offset such as +02:00",
        ),
    ],
)
def test_a_date_time_has_an_offset_exactly_where_the_column_has_a_zone(
    column: Column, wrong: str, expected: str
) -> None:
    for text in (wrong, "2026-01-31", "soon"):
        (fault,) = faults(rows(column), [[text]])
        assert (fault.msg, fault.expected, fault.got) == ("not a date-time", expected, text)
    for number in (1769853600, 1.5, True):
        (fault,) = faults(rows(column), [[number]])
        assert "is not allowed" in fault.msg


def test_a_date_time_reaches_the_model_as_it_came() -> None:
    given = [["2026-01-31T10:00:00.500+02:00"], ["2026-01-31 10:00:00Z"]]
    found = matrix(rows(Column("t", "datetime", timezone="UTC")), given)
    assert (found.dtype, found.tolist()) == (object, given)


def test_a_duration_is_a_number_of_seconds_in_a_numeric_matrix() -> None:
    found = matrix(
        rows(Column("took", "duration", nullable=True), Column("a")), [[90, 1], [None, 2], [0.25, 3]]
    )
    assert found.dtype == np.float64
    assert found[:, 0].tolist()[::2] == [90.0, 0.25]
    assert np.isnan(found[1, 0])
    assert "text" in faults(rows(Column("took", "duration")), [["PT1H"]])[0].msg


def test_an_optional_column_may_be_left_out_of_an_object_or_be_null() -> None:
    reading = schemas(
        Column("a"),
        Column("note", "string", nullable=True, optional=True),
        Column("n", "int", nullable=True, optional=True),
    )
    for body in ({"a": 1}, {"features": {"a": 1}}, {"features": [1, None, None]}, {"a": 1, "note": None}):
        assert reading.read_single(body)[0].tolist() == [[1, None, None]]
    batch = {"inputs": [{"a": 1, "n": 2}, [1, "x", 3], {"a": 2, "note": "y"}]}
    assert reading.read_batch(batch)[0].tolist() == [[1, None, 2], [1, "x", 3], [2, "y", None]]
    (fault,) = refused(reading.read_single, {"features": [1]})
    assert fault.msg == "wrong number of values"
    assert places(refused(reading.read_single, {"note": "x"})) == [("a",)]


def test_an_optional_number_that_is_left_out_is_nan_in_a_numeric_matrix() -> None:
    reading = schemas(Column("a"), Column("b", nullable=True, optional=True))
    assert np.isnan(reading.read_single({"a": 1})[0][0, 1])
    assert np.isnan(reading.read_batch({"inputs": [{"a": 1}, [1, 2]]})[0][0, 1])


COERCED = PredictSchemas(
    Signature(
        (
            Column("n", "int", minimum=0),
            Column("x"),
            Column("b", "bool"),
            Column("code", "category", values=(1, 2, True)),
            Column("word", "category", values=("1", "one")),
        ),
        Output("number"),
        (Column("k", "int", default=1), Column("strict", "bool", default=False)),
        coerce=True,
    ),
    max_rows=10,
)


@pytest.mark.parametrize(
    "row",
    [
        [12, 1.5, True, 2, "1"],
        ["12", "1.5", "true", "2", "1"],
        ["12.0", "15e-1", True, "2.0", "1"],
        ["12", 1.5, "true", 2, "1"],
    ],
)
def test_text_is_taken_for_what_it_writes_where_the_model_says_so(row: list[Any]) -> None:
    named = dict(zip(("n", "x", "b", "code", "word"), row, strict=True))
    for found, _ in (
        COERCED.read_single({"features": row}),
        COERCED.read_single({"features": named}),
        COERCED.read_single({**named, "k": "3"}),
        COERCED.read_batch({"inputs": [row]}),
        COERCED.read_batch({"inputs": [named]}),
    ):
        assert found.tolist() == [[12, 1.5, True, 2, "1"]]
    assert COERCED.read_single({"features": row, "parameters": {"k": "3", "strict": "true"}})[1] == {
        "k": 3,
        "strict": True,
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(
            (name, text)
            for name in "nx"
            for text in (
                "",
                " 7",
                "7 ",
                "+7",
                "07",
                "0x7",
                "1_0",
                ".5",
                "5.",
                "1e",
                "NaN",
                "Infinity",
                "1e999",
            )
        ),
        ("n", "true"),
        ("n", "1.5"),
        ("n", "-1"),
        ("n", "9007199254740993"),
        ("n", "٧"),
        ("x", "null"),
        ("b", "1"),
        ("b", "True"),
        ("b", "yes"),
        ("code", "3"),
        ("code", "false"),
        ("word", 1),
    ],
)
def test_text_that_writes_nothing_of_the_kind_is_a_fault_in_its_place(name: str, text: Any) -> None:
    good = {"n": 1, "x": 1.5, "b": "true", "code": "1", "word": "one"}
    (fault,) = refused(COERCED.read_single, {"features": {**good, name: text}})
    assert (fault.loc, fault.got) == (("features", name), text)
    (fault,) = refused(COERCED.read_batch, {"inputs": [good, list({**good, name: text}.values())]})
    assert (fault.loc, fault.got) == (("inputs", 1, name), text)
    # A fault elsewhere in the row does not make one of a text that is taken.
    assert places(refused(COERCED.read_single, {**good, "q": 1})) == [("q",)]


def test_text_is_no_number_unless_the_model_says_so() -> None:
    (fault,) = faults(rows(Column("n", "int")), [["12"]])
    assert (fault.msg, fault.expected) == ("text is not allowed", "an integer")
    (fault,) = refused(COERCED.read_single, {"features": ["q", 1, True, 1, "1"]})
    assert fault.expected == "an integer of at least 0, or the same as text"


def test_numbers_as_text_become_the_same_plain_matrix() -> None:
    signature = Signature((Column("a"), Column("n", "int")), Output("number"), coerce=True)
    reading = PredictSchemas(signature, max_rows=10)
    for body in ({"features": ["1.5", "2"]}, {"a": "1.5", "n": "2"}, {"features": [1.5, 2]}):
        found, _ = reading.read_single(body)
        assert (found.dtype, found.tolist()) == (np.float64, [[1.5, 2.0]])


@pytest.mark.parametrize("name", ["text", "features", "inputs"])
@pytest.mark.parametrize("named", [True, False])
def test_a_model_of_one_text_takes_the_bare_text_as_a_row(name: str, named: bool) -> None:
    reading = schemas(Column(name, "string", max_length=10), named=named)
    for body in ({"features": ["good film"]}, {"features": "good film"}, {name: "good film"}):
        assert reading.read_single(body)[0].tolist() == [["good film"]]
    batch = {"inputs": ["a", ["b"], {name: "c"}]}
    assert reading.read_batch(batch)[0].tolist() == [["a"], ["b"], ["c"]]
    assert reading.value_of({"inputs": ["a", "b"]}, name) == "a"
    found = refused(reading.read_batch, {"inputs": ["a", "far too long", 5, None]})
    assert [(f.loc, f.msg) for f in found] == [
        (("inputs", 1, name), "wrong length"),
        (("inputs", 2), "not a row"),
        (("inputs", 3), "not a row"),
    ]
    assert found[1].expected == "a list of values, or an object of values by name, or the text itself"


def test_a_number_is_no_row_and_a_text_none_of_a_wider_model() -> None:
    assert places(refused(schemas(Column("a")).read_batch, {"inputs": [1, "2"]})) == [
        ("inputs", 0),
        ("inputs", 1),
    ]
    for values in ((1, 2), ("1", 2)):
        codes = schemas(Column("code", "category", values=values))
        assert places(refused(codes.read_batch, {"inputs": [1, "1"]})) == [("inputs", 0), ("inputs", 1)]
        assert len(row_forms(codes.signature)) == 2
    two = schemas(Column("a", "string"), Column("b", "string"))
    assert places(refused(two.read_batch, {"inputs": ["ab", ["a", "b"]]})) == [("inputs", 0)]
