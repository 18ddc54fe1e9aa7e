"""The JSON Schemas of columns and rows (2020-12, which OpenAPI 3.1 uses).

They accept exactly what the server accepts. Limits that JSON Schema cannot express (the first and last moment
of a date, the range of a number that is sent as text) are in the description, so that a client that validates
against the document refuses nothing that the server accepts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from models.moments import LOCAL_PATTERN
from models.signature import LARGEST, MOMENTS, Column, Signature
from schemas.cells import NUMBER_PATTERN, bounds, takes_text_for

Property = dict[str, Any]

_KINDS: Mapping[str, Property] = {
    "float": {"type": "number"},
    "int": {"type": "integer"},
    "bool": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"},
    "duration": {"type": "number"},
    "string": {"type": "string"},
    "category": {},
}


def column_property(column: Column, *, coerce: bool = False) -> Property:
    """Return the schema of a column with its description; ``coerce`` is that of the signature."""
    annotations = {
        "default": column.default,
        "description": _described(column) or None,
        "examples": None if column.example is None else [column.example],
    }
    return {**_taken(column, coerce=coerce), **_given(annotations)}


def answer_column(column: Column) -> Property:
    """Return the schema of a column of a record in a reply, which the limits on requests do not restrict."""
    limits = {"minimum": column.minimum, "maximum": column.maximum} if column.dtype not in MOMENTS else {}
    annotations = {"description": _described(column) or None}
    return {**_or_null(column, {**_kind(column), **_given(limits)}), **_given(annotations)}


def row_forms(signature: Signature) -> list[Property]:
    """Return the forms of a row: a list in the order of the columns, an object by name, a single text."""
    columns = signature.columns
    text = replace(columns[0], nullable=False, optional=False, default=None)
    return [
        _row_list(signature),
        row_object(signature),
        *([column_property(text)] if signature.one_text else []),
    ]


def row_object(signature: Signature, extra: tuple[Column, ...] = ()) -> Property:
    """Return the schema of a row by name; the bare form has the ``extra`` columns."""
    columns = (*signature.columns, *extra)
    properties = {
        c.name: column_property(c, coerce=signature.coerce) for c in (columns if signature.named else extra)
    }
    required = [c.name for c in columns if c.required and c.name in properties]
    examples = {"examples": [example_row(signature, extra)]} if has_example(columns) else {}
    schema = {
        "type": "object",
        "properties": properties,
        **({"required": required} if required else {}),
        **examples,
    }
    if signature.named:
        return {**schema, "additionalProperties": False}
    # Any names are valid: the values are read in the sorted order of the names.
    taken = _distinct(_taken(column, coerce=signature.coerce) for column in signature.columns)
    width = len(signature.columns)
    return {
        **schema,
        "additionalProperties": taken[0] if len(taken) == 1 else {"anyOf": taken},
        "minProperties": width + len(required),
        "maxProperties": width + len(extra),
    }


def example_row(signature: Signature, extra: tuple[Column, ...] = ()) -> dict[str, Any]:
    """Return the example values by name, in the order of the columns; unrecorded names are sorted."""
    names = [c.name for c in signature.columns]
    names = names if signature.named else sorted(names)
    row = dict(zip(names, (c.example for c in signature.columns), strict=True))
    return {**row, **{c.name: c.example for c in extra}}


def has_example(columns: Iterable[Column]) -> bool:
    """Return whether every column that must be given has an example."""
    return all(c.example is not None or c.nullable for c in columns)


def _row_list(signature: Signature) -> Property:
    columns, width = signature.columns, len(signature.columns)
    order = ", ".join(c.name for c in columns) if signature.named else f"{width} values"
    taken = [_taken(column, coerce=signature.coerce) for column in columns]
    cells = (
        {"items": taken[0]}
        if all(one == taken[0] for one in taken)
        else {"prefixItems": [{"title": c.name, **one} for c, one in zip(columns, taken, strict=True)]}
    )
    examples = {"examples": [[c.example for c in columns]]} if has_example(columns) else {}
    return {
        "type": "array",
        **cells,
        "minItems": width,
        "maxItems": width,
        "description": f"In this order: {order}",
        **examples,
    }


def _taken(column: Column, *, coerce: bool) -> Property:
    """Return the schema of a column without its description."""
    limits: Property = {"minLength": column.min_length, "maxLength": column.max_length}
    if column.dtype in LARGEST and column.values is None:
        number = int if column.dtype == "int" else float
        low, high = bounds(column)
        limits |= {"minimum": number(low), "maximum": number(high)}
    taken = _or_null(column, {**_kind(column), **_given(limits)})
    if not (coerce and takes_text_for(column)):
        return taken
    text: Property = {"type": "string", "pattern": NUMBER_PATTERN}
    if column.values is not None or column.dtype == "bool":
        written = [orjson.dumps(value).decode() for value in column.values or (True, False)]
        text = {"type": "string", "enum": written}
    return {"anyOf": [taken, text]}


def _kind(column: Column) -> Property:
    if column.values is not None:
        return {**_KINDS[column.dtype], "enum": list(column.values)}
    if column.dtype == "datetime" and not column.timezone:
        return {"type": "string", "pattern": LOCAL_PATTERN}  # a date-time of RFC 3339 has an offset
    return dict(_KINDS[column.dtype])


def _or_null(column: Column, taken: Property) -> Property:
    if column.nullable:
        taken |= {"type": [taken["type"], "null"]} if "type" in taken else {}
        taken |= {"enum": [*taken["enum"], None]} if "enum" in taken else {}
    return taken


def _described(column: Column) -> str:
    parts = [column.description]
    if column.dtype == "duration":
        parts.append("In seconds.")
    if column.dtype in MOMENTS and (column.minimum, column.maximum) != (None, None):
        parts.append(f"From {column.minimum or '..'} to {column.maximum or '..'}.")
    if column.observed:
        parts.append(f"Seen in training: {column.seen}.")
    return " ".join(part for part in parts if part)


def _distinct(properties: Iterable[Property]) -> list[Property]:
    """Return the properties without repetitions, in order."""
    return list({orjson.dumps(one): one for one in properties}.values())


def _given(keywords: Property) -> Property:
    return {key: value for key, value in keywords.items() if value is not None}
