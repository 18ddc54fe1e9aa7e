"""Tests of the list of faults: one shape, a location for each, fifty at most."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields

from models.errors import Fault
from schemas.errors import FaultSchema, ProblemSchema, faults_of, problem


def told(schema: Schema, given: Any) -> list[tuple[tuple[Any, ...], str]]:
    """Return the locations and messages of marshmallow's errors."""
    try:
        schema.load(given)
    except ValidationError as error:
        return [(fault.loc, fault.msg) for fault in faults_of(error.messages, schema, given)]
    return []


def test_a_problem_has_the_members_of_the_standard() -> None:
    assert problem(404, "Not Found", "no such model", "id-1", available=["iris"]) == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "no such model",
        "request_id": "id-1",
        "available": ["iris"],
    }


def test_faults_are_listed_with_place_expectation_and_value() -> None:
    body = problem(
        422, "Unprocessable Entity", "", "", [Fault(("inputs", 3, "a"), "missing", "a number", None)]
    )
    assert body["errors"] == [
        {"loc": ["inputs", 3, "a"], "msg": "missing", "expected": "a number", "got": None}
    ]
    assert "errors" not in problem(422, "Unprocessable Entity", "", "")


def test_no_more_than_fifty_faults_are_told() -> None:
    assert len(problem(422, "", "", "", [Fault(("a", i), "missing") for i in range(70)])["errors"]) == 50


def test_the_documented_schemas_name_every_member() -> None:
    body = problem(422, "t", "d", "id", [Fault(("a",), "m", "e", 1)])
    assert set(body) == set(ProblemSchema().fields)
    assert set(body["errors"][0]) == set(FaultSchema().fields)


class Inner(Schema):
    class Meta(Schema.Meta):
        ordered = True

    count = fields.Integer(required=True)
    name = fields.String(data_key="its.name")


class Outer(Schema):
    inner = fields.Nested(Inner, required=True)
    flag = fields.Boolean()


def test_messages_of_marshmallow_s_own_fields_are_located_too() -> None:
    assert told(Outer(), {"inner": {"count": "x", "its.name": 5, "other": 1}, "more": 1}) == [
        (("inner", "count"), "not a valid integer"),
        (("inner", "its.name"), "not a valid string"),
        (("inner", "other"), "unknown name"),
        (("more",), "unknown name"),
    ]
    assert told(Outer(), {}) == [(("inner",), "missing")]
    assert told(Outer(), {"inner": None}) == [(("inner",), "null is not allowed")]
    assert told(Outer(), {"inner": {}}) == [(("inner", "count"), "missing")]
    assert told(Outer(), {"inner": [1]}) == [(("inner",), "not an object")]


def test_a_member_called_as_marshmallow_calls_the_whole_schema_is_just_a_name() -> None:
    assert told(Outer(), {"inner": {"count": 1}, "_schema": 1}) == [(("_schema",), "unknown name")]
    assert told(Outer(), {"inner": {"count": 1, "_schema": {}}}) == [(("inner", "_schema"), "unknown name")]


def test_faults_come_in_the_order_of_the_body_after_what_is_missing() -> None:
    given = {f"name{i}": i for i in range(200)}
    places = [loc for loc, _ in told(Outer(), given)]
    assert places == [("inner",), *((f"name{i}",) for i in range(49))]
