"""Tests of the bodies of predictions: three forms of one row, one of many, parameters in each."""

from __future__ import annotations

import contextlib
import gc
import weakref
from typing import Any

import numpy as np
import pytest

from models.errors import Fault, InputError
from models.outputs import Outputs
from models.signature import Column, Output, Signature
from schemas.predict import PredictSchemas, reply_body
from schemas.properties import row_forms
from tests.schemas.reading import MAX_ROWS, places, refused, schemas

TWO = schemas(Column("a"), Column("n", "int"))
#: One parameter with a default and one without.
WITH = schemas(
    Column("a"),
    Column("n", "int"),
    parameters=(
        Column("k", "int", default=10, minimum=1, maximum=50),
        Column("mode", "category", values=("x", "y")),
    ),
)
OPTIONAL = schemas(
    Column("a"),
    parameters=(
        Column("k", "int", default=10, minimum=1, maximum=50),
        Column("note", "string", nullable=True, default="-"),
    ),
)


@pytest.mark.parametrize(
    "body",
    [{"features": [1.5, 2]}, {"features": {"n": 2, "a": 1.5}}, {"a": 1.5, "n": 2}, {"n": 2.0, "a": 1.5}],
)
def test_one_row_has_three_forms(body: dict[str, Any]) -> None:
    row, parameters = TWO.read_single(body)
    assert (row.tolist(), row.dtype, parameters) == ([[1.5, 2.0]], np.float64, {})


@pytest.mark.parametrize(
    "body",
    [
        {"features": [1, 2], "parameters": {"k": 3, "mode": "x"}},
        {"features": {"a": 1, "n": 2}, "parameters": {"k": 3.0, "mode": "x"}},
        {"a": 1, "n": 2, "k": 3, "mode": "x"},
        {"mode": "x", "k": 3.0, "n": 2, "a": 1},
    ],
)
def test_parameters_stand_in_the_envelope_or_beside_the_columns(body: dict[str, Any]) -> None:
    row, parameters = WITH.read_single(body)
    assert row.tolist() == [[1.0, 2.0]]
    assert parameters == {"k": 3, "mode": "x"}
    assert type(parameters["k"]) is int  # a model that slices by it must not get 3.0


def test_a_batch_has_one_set_of_parameters() -> None:
    rows, parameters = WITH.read_batch({"inputs": [[1, 2], {"n": 4, "a": 3}], "parameters": {"mode": "y"}})
    assert rows.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert parameters == {"k": 10, "mode": "y"}


@pytest.mark.parametrize("body", [{"features": [1]}, {"a": 1}, {"features": [1], "parameters": {}}])
def test_parameters_that_are_left_out_have_their_defaults(body: dict[str, Any]) -> None:
    assert OPTIONAL.read_single(body)[1] == {"k": 10, "note": "-"}
    assert OPTIONAL.read_batch({"inputs": [[1]]})[1] == {"k": 10, "note": "-"}


def test_one_request_cannot_change_the_defaults_of_the_next() -> None:
    OPTIONAL.read_single({"a": 1})[1]["k"] = 99
    assert OPTIONAL.read_single({"a": 1})[1]["k"] == 10


@pytest.mark.parametrize("value", [None, True, "3", 0, 51, 2.5, [3], {}])
def test_a_parameter_is_held_to_its_declaration(value: Any) -> None:
    """Null is refused too, since the model would get None."""
    for body, place in (
        ({"features": [1], "parameters": {"k": value}}, ("parameters", "k")),
        ({"a": 1, "k": value}, ("k",)),
    ):
        (fault,) = refused(OPTIONAL.read_single, body)
        assert (fault.loc, fault.expected) == (place, "an integer from 1 to 50")
    (fault,) = refused(OPTIONAL.read_batch, {"inputs": [[1]], "parameters": {"k": value}})
    assert fault.loc == ("parameters", "k")


def test_a_nullable_parameter_takes_null() -> None:
    assert OPTIONAL.read_single({"a": 1, "note": None})[1] == {"k": 10, "note": None}


def test_a_required_parameter_is_missed_where_it_belongs() -> None:
    assert places(refused(WITH.read_single, {"features": [1, 2], "parameters": {"k": 1}})) == [
        ("parameters", "mode")
    ]
    assert places(refused(WITH.read_single, {"a": 1, "n": 2})) == [("mode",)]
    (fault,) = refused(WITH.read_single, {"features": [1, 2]})
    assert (fault.loc, fault.msg, fault.expected) == (("parameters",), "missing", "an object with k, mode")
    assert places(refused(WITH.read_batch, {"inputs": [[1, 2]]})) == [("parameters",)]


@pytest.mark.parametrize(("value", "got"), [([], "a list of 0"), ("k=3", "k=3"), (3, 3), (True, True)])
def test_parameters_are_an_object(value: Any, got: Any) -> None:
    (fault,) = refused(OPTIONAL.read_single, {"features": [1], "parameters": value})
    assert (fault.loc, fault.msg, fault.expected, fault.got) == (
        ("parameters",),
        "not an object",
        "an object with k, note",
        got,
    )
    (fault,) = refused(OPTIONAL.read_single, {"features": [1], "parameters": None})
    assert (fault.loc, fault.msg, fault.expected) == (
        ("parameters",),
        "null is not allowed",
        "an object with k, note",
    )


def test_faults_of_row_and_parameters_come_together() -> None:
    body = {"features": {"a": "x", "n": 1.5}, "parameters": {"k": 0, "mood": "x"}, "extra": 1}
    assert set(places(refused(WITH.read_single, body))) == {
        ("features", "a"),
        ("features", "n"),
        ("parameters", "k"),
        ("parameters", "mode"),
        ("parameters", "mood"),
        ("extra",),
    }
    bare = {"a": "x", "k": 0, "mood": "x"}
    assert set(places(refused(WITH.read_single, bare))) == {("a",), ("n",), ("k",), ("mood",), ("mode",)}
    batch = {"inputs": [[1, 2], ["x", 1.5], {"a": 1}], "parameters": {"k": 0}, "extra": 1}
    assert set(places(refused(WITH.read_batch, batch))) == {
        ("inputs", 1, "a"),
        ("inputs", 1, "n"),
        ("inputs", 2, "n"),
        ("parameters", "k"),
        ("parameters", "mode"),
        ("extra",),
    }


def test_a_misspelt_word_of_the_envelope_is_told_the_right_one() -> None:
    (fault,) = refused(TWO.read_single, {"features": [1, 2], "paramters": {}})
    assert (fault.loc, fault.msg) == (("paramters",), "unknown name")
    found = refused(WITH.read_batch, {"inputs": [[1, 2]], "paramters": {"mode": "x"}})
    assert ("paramters",) in places(found)
    assert next(f for f in found if f.loc == ("paramters",)).expected == "did you mean 'parameters'?"


@pytest.mark.parametrize("body", [[1, 2], [[1, 2]], "text", 5, None, True])
def test_a_body_is_an_object(body: Any) -> None:
    for read in (TWO.read_single, TWO.read_batch):
        (fault,) = refused(read, body)
        assert (fault.loc, fault.msg) == ((), "not an object")


@pytest.mark.parametrize("value", [None, 5, "x", True, [], [1], [1, 2, 3], [[1, 2]], {}, {"a": 1}])
def test_features_are_one_row(value: Any) -> None:
    found = refused(TWO.read_single, {"features": value})
    assert all(fault.loc[0] == "features" for fault in found)


def test_rows_sent_to_the_route_for_one_row_are_shown_the_way() -> None:
    (fault,) = refused(TWO.read_single, {"inputs": [[1, 2]]})
    assert fault.loc == ("inputs",)
    assert "/predict/batch" in fault.expected


@pytest.mark.parametrize("value", [None, 5, "x", {}, {"a": 1, "n": 2}, []])
def test_inputs_are_a_list_of_rows(value: Any) -> None:
    (fault,) = refused(TWO.read_batch, {"inputs": value})
    assert (fault.loc, fault.expected) == (("inputs",), f"a list of 1 to {MAX_ROWS} rows")


def test_the_number_of_rows_is_bounded() -> None:
    assert len(TWO.read_batch({"inputs": [[1, 2]] * MAX_ROWS})[0]) == MAX_ROWS
    (fault,) = refused(TWO.read_batch, {"inputs": [[1, 2]] * (MAX_ROWS + 1)})
    assert (fault.loc, fault.got) == (("inputs",), f"{MAX_ROWS + 1} rows")


def test_a_flat_list_of_numbers_is_no_list_of_rows() -> None:
    assert places(refused(TWO.read_batch, {"inputs": [1, 2]})) == [("inputs", 0), ("inputs", 1)]


@pytest.mark.parametrize("body", [{"features": [1, 2]}, {"a": 1, "n": 2}, {}])
def test_a_batch_must_say_inputs(body: dict[str, Any]) -> None:
    assert ("inputs",) in places(refused(TWO.read_batch, body))


def test_a_column_called_features_is_told_from_the_envelope() -> None:
    odd = schemas(Column("features"), Column("parameters"))
    for body in (
        {"features": 1, "parameters": 2},
        {"features": {"features": 1, "parameters": 2}},
        {"features": [1, 2]},
    ):
        assert odd.read_single(body)[0].tolist() == [[1.0, 2.0]]
    assert places(refused(odd.read_single, {"features": "x", "parameters": 2})) == [("features",)]
    assert places(refused(odd.read_single, {"features": {"features": "x", "parameters": 2}})) == [
        ("features", "features")
    ]


def test_the_oldest_clients_may_call_their_numbers_features_too() -> None:
    unnamed = schemas(Column("x0"), Column("x1"), named=False)
    assert unnamed.read_single({"features": 1, "inputs": 2})[0].tolist() == [[1.0, 2.0]]
    assert unnamed.read_single({"features": [1, 2]})[0].tolist() == [[1.0, 2.0]]
    assert unnamed.read_single({"features": {"f2": 2, "f1": 1}})[0].tolist() == [[1.0, 2.0]]


def test_a_model_without_recorded_names_keeps_its_parameters_apart() -> None:
    unnamed = schemas(Column("x0"), Column("x1"), named=False, parameters=(Column("k", "int", default=1),))
    row, parameters = unnamed.read_single({"f2": 2, "k": 7, "f10": 10})
    assert (row.tolist(), parameters) == ([[10.0, 2.0]], {"k": 7})


def test_records_carry_the_version_as_text_where_the_signature_says() -> None:
    records = Outputs.of_records([[{"day": 1}, {"day": 2}], []])
    stamped = Signature(
        (Column("a"),), Output("records", columns=(Column("day", "int"),), version_column="made_by")
    )
    assert reply_body(stamped, records, "days", 3, single=False)["predictions"] == [
        [{"day": 1, "made_by": "3"}, {"day": 2, "made_by": "3"}],
        [],
    ]
    plain = Signature((Column("a"),), Output("records", columns=(Column("day", "int"),)))
    assert reply_body(plain, records, "days", 3, single=True)["prediction"] == [{"day": 1}, {"day": 2}]


def test_the_forms_that_the_document_shows_are_taken() -> None:
    shown = PredictSchemas(
        Signature(
            (Column("a", example=1.5), Column("n", "int", example=2)),
            Output("number"),
            (Column("k", "int", default=10, example=5),),
        ),
        max_rows=MAX_ROWS,
    )
    for form in shown.single_forms():
        assert shown.read_single(form["examples"][0]) is not None
    for form in row_forms(shown.signature):
        assert shown.read_single({"features": form["examples"][0]})[0].tolist() == [[1.5, 2.0]]
        assert shown.read_batch({"inputs": [form["examples"][0]]})[0].tolist() == [[1.5, 2.0]]


def test_faults_that_the_model_finds_are_placed_as_the_request_has_them() -> None:
    """The model's faults are at rows and parameters, the client's at a bare object, an envelope or a list."""
    read = schemas(Column("day", "date"), parameters=(Column("k", "int", default=1),))
    found = InputError([Fault((0, "day"), "too late"), Fault(("parameters", "k"), "too many")])
    bare = {"day": "2026-01-01", "k": 3}
    envelope = {"features": {"day": "2026-01-01"}, "parameters": {"k": 3}}
    assert [f.loc for f in read.located(found, single=True, bare=read.is_bare(bare)).faults] == [
        ("day",),
        ("k",),
    ]
    assert [f.loc for f in read.located(found, single=True, bare=read.is_bare(envelope)).faults] == [
        ("features", "day"),
        ("parameters", "k"),
    ]
    many = InputError([Fault((2, "day"), "too late")])
    assert [f.loc for f in read.located(many, single=False, bare=False).faults] == [("inputs", 2, "day")]


def test_a_misspelt_parameter_beside_the_columns_is_recognised() -> None:
    read = schemas(Column("ticker", "string"), parameters=(Column("days_ahead", "int", default=1),))
    with pytest.raises(InputError) as raised:
        read.read_single({"ticker": "AAPL", "Days_ahead": 2})
    (fault,) = raised.value.faults
    assert (fault.loc, fault.expected) == (("Days_ahead",), "did you mean 'days_ahead'?")


def test_a_refused_body_is_not_kept_until_the_garbage_collector_comes() -> None:
    """A body may have a megabyte, and garbage collections are rare."""

    class Body(dict[str, Any]):
        """A dict that supports weak references."""

    one = PredictSchemas(Signature(columns=(Column("a"),), output=Output("number")), max_rows=10)
    gc.collect()
    gc.disable()
    try:
        for given in ({"q": "x" * 1000}, {"features": ["x"]}, {"a": "x"}, {"inputs": "x"}):
            body = Body(given)
            watched = weakref.ref(body)
            for read in (one.read_single, one.read_batch):
                with contextlib.suppress(InputError):
                    read(body)
            del body
            assert watched() is None
    finally:
        gc.enable()
