"""Signatures are stored as plain data, and refused if they contradict themselves."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from models.signature import Column, Output, Signature

FULL = Signature(
    columns=(
        Column("amount", "float", minimum=0.0, maximum=1e6, observed=(0.5, 912.25), example=12.5),
        Column("items", "int", description="how many", nullable=True),
        Column("gift", "bool", default=False),
        Column("note", "string", min_length=1, max_length=10),
        Column("channel", "category", values=("web", "shop")),
        Column("grade", "int", values=(1, 2, 3)),
        Column("day", "date", minimum="1677-09-22", maximum="2262-04-11", limit_of="datetime64[ns]"),
        Column("at", "datetime", timezone="UTC", observed=("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z")),
        Column("took", "duration", minimum=0, nullable=True, optional=True),
    ),
    parameters=(Column("k", "int", default=10, minimum=1, maximum=50),),
    output=Output("records", columns=(Column("item", "string"), Column("score")), version_column="made_by"),
    bare=True,
    coerce=True,
)


@pytest.mark.parametrize(
    "signature",
    [
        FULL,
        Signature((Column("x0"),), Output("number"), named=False),
        Signature((Column("x0"),), Output("class", classes=("no", "yes"), probability=True)),
        Signature((Column("x0"),), Output("class", classes=(False, True))),
        Signature((Column("x0"),), Output("vector", size=3)),
    ],
)
def test_a_signature_comes_back_from_json_as_it_was(signature: Signature) -> None:
    assert Signature.from_dict(orjson.loads(orjson.dumps(signature.to_dict()))) == signature


def test_only_what_was_declared_is_written() -> None:
    written = Signature((Column("x0"),), Output("number")).to_dict()
    assert written["columns"] == [{"name": "x0", "dtype": "float"}]
    assert written["output"] == {"kind": "number", "columns": []}


@pytest.mark.parametrize(
    ("columns", "parameters", "why"),
    [
        ((), (), "at least one column"),
        ((Column("a"), Column("a")), (), "given twice: a"),
        ((Column("a"),), (Column("k"), Column("k")), "given twice: k"),
        ((Column("a"),), (Column("a"),), "both a column and a parameter: a"),
    ],
)
def test_a_name_means_one_thing(
    columns: tuple[Column, ...], parameters: tuple[Column, ...], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        Signature(columns, Output("number"), parameters)


def test_unknown_types_and_outputs_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown dtype 'float32'; use one of .*'float'"):
        Column("a", "float32")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a category needs its values"):
        Column("a", "category")
    with pytest.raises(ValueError, match=r"unknown output 'text'; use one of .*'number'"):
        Output("text")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("declared", "why"),
    [
        ({"dtype": "date", "minimum": 5}, "5 cannot limit the type date"),
        ({"dtype": "date", "maximum": "2026-02-30"}, "cannot limit the type date"),
        ({"dtype": "datetime", "minimum": "2026-01-01"}, "cannot limit the type datetime"),
        ({"dtype": "datetime", "minimum": "2026-01-01T00:00:00Z"}, "cannot limit the type datetime"),
        (
            {"dtype": "datetime", "minimum": "2026-01-01T00:00:00", "timezone": "UTC"},
            "cannot limit the type datetime",
        ),
        ({"dtype": "int", "minimum": "5"}, "'5' cannot limit the type int"),
        ({"dtype": "float", "maximum": True}, "True cannot limit the type float"),
        ({"dtype": "string", "minimum": 1}, "1 cannot limit the type string"),
        ({"dtype": "date", "timezone": "UTC"}, "only a datetime has a time zone"),
        ({"optional": True}, "declare it nullable too"),
    ],
)
def test_a_column_that_contradicts_itself_is_refused(declared: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=f"column 'a': .*{why}"):
        Column("a", **declared)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"columns": [], "output": {"kind": "number"}},
        {"columns": [{"dtype": "float"}], "output": {"kind": "number"}},
        {"columns": [{"name": "a", "colour": "red"}], "output": {"kind": "number"}},
        {"columns": [{"name": "a"}], "output": {"kind": "poem"}},
        {"columns": [{"name": "a"}], "output": None},
    ],
)
def test_data_that_is_no_signature_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        Signature.from_dict(data)


def test_rows_are_numbers_only_when_every_column_is() -> None:
    assert Signature((Column("a"), Column("b", "int"), Column("c", "bool")), Output("number")).numeric
    assert not FULL.numeric


def test_columns_are_found_by_name() -> None:
    assert FULL.index("gift") == 2
    assert FULL.index("missing") is None


def test_a_value_with_a_default_and_an_optional_one_are_not_required() -> None:
    assert [c.name for c in (*FULL.columns, *FULL.parameters) if not c.required] == ["gift", "took", "k"]


def test_examples_read_as_a_client_would_write_them() -> None:
    """In a matrix of numbers, 2.0 and 1.0 may stand for an integer and a boolean."""
    signature = Signature(
        (Column("a"), Column("b", "int"), Column("c", "bool"), Column("d")), Output("number")
    )
    filled = signature.with_examples([0.5, 2.0, 1.0, float("nan")], {})
    examples = [c.example for c in filled.columns]
    assert examples == [0.5, 2, True, None]
    assert [type(e) for e in examples] == [float, int, bool, type(None)]


def test_the_example_of_a_category_of_numbers_is_one_of_its_values() -> None:
    signature = Signature(
        (Column("size", "category", values=(1, 2)), Column("n", "string")), Output("number")
    )
    assert [c.example for c in signature.with_examples([2, "x"], {}).columns] == [2, "x"]


def test_the_example_of_a_parameter_is_what_was_given_or_its_default() -> None:
    rows = [1.0, 2, False, "x", "web", 1, "2024-01-31", "2024-01-31T10:00:00Z", 1.5]
    assert FULL.with_examples(rows, {}).parameters[0].example == 10
    assert FULL.with_examples(rows, {"k": 3}).parameters[0].example == 3
