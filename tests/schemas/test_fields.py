"""Tests that the documented schema of a value is the one that is enforced."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from marshmallow import Schema, ValidationError

from models.moments import datetime_ns
from models.signature import Column
from schemas.cells import Cells
from schemas.fields import ColumnField
from schemas.properties import column_property, row_forms, row_object
from tests.schemas.reading import schemas, signature

COLUMNS = [
    Column("v"),
    Column("v", minimum=0.8, maximum=0.99),
    Column("v", "int"),
    Column("v", "int", minimum=1, maximum=30),
    Column("v", "bool"),
    Column("v", "string", min_length=1, max_length=4),
    Column("v", "category", values=("web", "shop")),
    Column("v", "int", values=(1, 2, 3)),
    Column("v", "date"),
    Column("v", "datetime"),
    Column("v", "datetime", timezone="UTC"),
    Column("v", "duration", minimum=0),
    Column("v", nullable=True),
    Column("v", "category", values=("web", "shop"), nullable=True),
]
VALUES = [0, 1, 2.0, 2.5, 0.9, -1, 31, True, False, "", "web", "longer", "2026-01-31", None, [], {}]
VALUES += ["2026-01-31T10:00:00", "2026-01-31T10:00:00.5Z", "2026-01-31T10:00:00+02:00"]

#: The largest number of 32 bits, in which trees and others compute.
FLOAT32 = 3.4028234663852886e38


def as_json_schema(described: dict[str, Any]) -> dict[str, Any]:
    """Convert ``nullable`` of OpenAPI 3.0 to a list of types of JSON Schema."""
    if not described.get("nullable"):
        return described
    return {"anyOf": [{"type": "null"}, {k: v for k, v in described.items() if k != "nullable"}]}


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: f"{column.dtype}-{column.nullable}")
@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_the_described_property_takes_what_the_column_takes(column: Column, value: Any) -> None:
    described = as_json_schema(column_property(column))
    checker = jsonschema.FormatChecker(formats=["date"])
    checker.checks("date-time")(
        lambda text: not isinstance(text, str) or datetime_ns(text, offset=True) is not None
    )
    fits = jsonschema.Draft202012Validator(described, format_checker=checker).is_valid(value)
    assert (Cells(column).fault(value) is None) == fits


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: f"{column.dtype}-{column.nullable}")
@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_single_value_is_judged_as_a_cell_is(column: Column, value: Any) -> None:
    schema = Schema.from_dict({"field": ColumnField(column)})()
    if Cells(column).fault(value) is None:
        assert schema.load({"v": value})["field"] == value
    else:
        with pytest.raises(ValidationError):
            schema.load({"v": value})


@pytest.mark.parametrize(
    ("dtype", "value", "kind"),
    [("int", 2.0, int), ("float", 2, float), ("bool", True, bool), ("string", "2", str)],
)
def test_a_single_value_has_the_type_of_its_column(dtype: Any, value: Any, kind: type) -> None:
    loaded = Schema.from_dict({"field": ColumnField(Column("v", dtype))})().load({"v": value})
    assert type(loaded["field"]) is kind


def test_a_description_holds_what_is_known_and_nothing_else() -> None:
    assert column_property(Column("v", "string")) == {"type": "string"}
    full = Column("v", "int", "how many", default=2, minimum=1, maximum=9, observed=(1, 4), example=3)
    assert column_property(full) == {
        "type": "integer",
        "minimum": 1,
        "maximum": 9,
        "default": 2,
        "description": "how many Seen in training: 1 to 4.",
        "examples": [3],
    }


@pytest.mark.parametrize(
    ("column", "taken"),
    [
        (Column("v", nullable=True), {"type": ["number", "null"], "minimum": -FLOAT32, "maximum": FLOAT32}),
        (Column("v", "int", minimum=0), {"type": "integer", "minimum": 0, "maximum": 2**53 - 1}),
        (Column("v", "int", values=(1, 2)), {"type": "integer", "enum": [1, 2]}),
        (Column("v", "duration", maximum=9), {"type": "number", "minimum": -FLOAT32, "maximum": 9}),
        (
            Column("v", "string", nullable=True, max_length=3),
            {"type": ["string", "null"], "maxLength": 3},
        ),
        (Column("v", "category", values=("a", 1), nullable=True), {"enum": ["a", 1, None]}),
        (Column("v", "date", minimum="2026-01-01"), {"type": "string", "format": "date"}),
        (Column("v", "bool"), {"type": "boolean"}),
    ],
)
def test_what_is_taken_is_described_with_every_limit(column: Column, taken: dict[str, Any]) -> None:
    described = column_property(column)
    described.pop("description", None)
    assert described == taken


def test_the_cells_of_a_list_are_described_once_if_they_are_alike_and_by_place_if_not() -> None:
    alike = row_forms(signature(Column("a", description="x", example=1), Column("b")))[0]
    assert alike["items"] == {"type": "number", "minimum": -FLOAT32, "maximum": FLOAT32}
    assert "prefixItems" not in alike
    mixed = row_forms(signature(Column("a", "bool"), Column("b", "string")))[0]
    assert mixed["prefixItems"] == [{"title": "a", "type": "boolean"}, {"title": "b", "type": "string"}]
    assert (mixed["minItems"], mixed["maxItems"]) == (2, 2)


def test_the_observed_range_is_told_and_is_no_limit() -> None:
    described = column_property(Column("v", observed=(4.3, 7.9)))
    assert "4.3 to 7.9" in described["description"]
    assert (described["minimum"], described["maximum"]) == (-FLOAT32, FLOAT32)


def test_a_row_is_described_as_a_list_and_as_an_object() -> None:
    of_list, of_object = row_forms(
        signature(Column("a", example=1.5), Column("n", "int", default=2, example=3))
    )
    assert (of_list["minItems"], of_list["maxItems"], of_list["examples"]) == (2, 2, [[1.5, 3]])
    assert "a, n" in of_list["description"]
    assert of_object["required"] == ["a"]
    assert of_object["additionalProperties"] is False
    assert of_object["examples"] == [{"a": 1.5, "n": 3}]


def test_without_recorded_names_any_names_are_described() -> None:
    unnamed = signature(Column("x0"), Column("x1"), named=False)
    described = row_object(unnamed, (Column("k", "int", default=1),))
    assert described["additionalProperties"]["type"] == "number"
    assert (described["minProperties"], described["maxProperties"]) == (2, 3)
    mixed = signature(Column("x0"), Column("x1", "bool"), named=False)
    kinds = [form["type"] for form in row_object(mixed)["additionalProperties"]["anyOf"]]
    assert kinds == ["number", "boolean"]
    assert set(described["properties"]) == {"k"}
    assert row_forms(unnamed)[0]["description"].endswith("2 values")


def test_the_described_forms_take_what_reading_takes() -> None:
    reading = schemas(Column("a", minimum=0), Column("c", "category", values=("x", "y"), default="x"))
    forms = {"oneOf": row_forms(reading.signature)}
    for row in ([1, "x"], {"a": 1}, {"a": 1, "c": "y"}):
        jsonschema.Draft202012Validator(forms).validate(row)
        reading.read_single({"features": row})
    for row in ([1], [1, "x", 2], {"c": "x"}, {"a": 1, "d": 2}, "a"):
        assert not jsonschema.Draft202012Validator(forms).is_valid(row)
        with pytest.raises(Exception, match=r"missing|unknown|wrong number|not a row"):
            reading.read_single({"features": row})
