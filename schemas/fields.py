"""The marshmallow fields of a request: a vectorised one for rows, a strict one for single values.

Each carries its OpenAPI property in its metadata, so that the document shows what the field enforces.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from marshmallow import ValidationError, fields

from models.errors import Fault
from models.signature import Column, Signature
from schemas.matrix import Rows, check_cell, describe, shown


class RowField(fields.Field[np.ndarray]):
    """One row, a list or an object by name -> ndarray of shape (1, n_columns)."""

    def __init__(self, rows: Rows, **kwargs: Any) -> None:
        super().__init__(
            metadata={"oneOf": row_forms(rows.signature)},
            error_messages=dict.fromkeys(
                ("required", "null"), "a list of values, or an object of values by name"
            ),
            **kwargs,
        )
        self._rows = rows

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> np.ndarray:
        matrix, faults = self._rows.read([value])
        if matrix is None:
            raise ValidationError([Fault(f.loc[1:], f.msg, f.expected, f.got) for f in faults])
        return matrix


class RowsField(fields.Field[np.ndarray]):
    """A list of 1 to ``max_rows`` rows -> ndarray of shape (n_rows, n_columns)."""

    def __init__(self, rows: Rows, max_rows: int, **kwargs: Any) -> None:
        items = {"oneOf": row_forms(rows.signature)}
        self._expected = f"a list of 1 to {max_rows} rows"
        super().__init__(
            metadata={"type": "array", "minItems": 1, "maxItems": max_rows, "items": items},
            error_messages=dict.fromkeys(("required", "null"), self._expected),
            **kwargs,
        )
        self._rows = rows
        self._max_rows = max_rows

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> np.ndarray:
        if not isinstance(value, list):
            raise ValidationError([Fault((), "not a list of rows", self._expected, shown(value))])
        if not 1 <= len(value) <= self._max_rows:
            raise ValidationError([Fault((), "wrong number of rows", self._expected, f"{len(value)} rows")])
        matrix, faults = self._rows.read(value)
        if matrix is None:
            raise ValidationError(list(faults))
        return matrix


class ColumnField(fields.Field[Any]):
    """One value of a column or parameter, by the column's own rules: no text for numbers, no 1.9 for an integer."""

    def __init__(self, column: Column, **kwargs: Any) -> None:
        default = {} if column.required else {"load_default": column.default}
        super().__init__(
            data_key=column.name,
            required=column.required,
            allow_none=column.nullable,
            metadata=column_property(column),
            error_messages=dict.fromkeys(("required", "null"), describe(column)),
            **default,
            **kwargs,
        )
        self.column = column

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> Any:
        fault = check_cell(self.column, value)
        if fault is not None:
            raise ValidationError([fault])
        return self.column.natural(value)


def column_property(column: Column) -> dict[str, Any]:
    """The OpenAPI 3.0.3 property of a column."""
    kinds: dict[str, dict[str, Any]] = {
        "float": {"type": "number"},
        "int": {"type": "integer"},
        "bool": {"type": "boolean"},
        "date": {"type": "string", "format": "date"},
        "string": {"type": "string"},
        "category": {},
    }
    found = {
        **kinds[column.dtype],
        "minimum": column.minimum,
        "maximum": column.maximum,
        "minLength": column.min_length,
        "maxLength": column.max_length,
        "enum": None if column.values is None else [*column.values, *([None] if column.nullable else [])],
        "default": column.default,
        "nullable": column.nullable or None,
        "description": _described(column) or None,
        "example": column.example,
    }
    return {key: value for key, value in found.items() if value is not None}


def row_forms(signature: Signature) -> list[dict[str, Any]]:
    """The two forms of a row in OpenAPI: a list in the order of the columns, and an object by name."""
    names = [c.name for c in signature.columns]
    example = [c.example for c in signature.columns]
    width = len(names)
    order = ", ".join(names) if signature.named else f"{width} values"
    return [
        {
            "type": "array",
            "items": {},
            "minItems": width,
            "maxItems": width,
            "description": f"In this order: {order}",
            "example": example,
        },
        row_object(signature),
    ]


def row_object(signature: Signature, extra: tuple[Column, ...] = ()) -> dict[str, Any]:
    """A row by name in OpenAPI, with further columns beside it in the bare form."""
    columns = (*signature.columns, *extra)
    required = [c.name for c in columns if c.required]
    found: dict[str, Any] = {
        "type": "object",
        "properties": {c.name: column_property(c) for c in columns},
        "example": {c.name: c.example for c in columns},
    }
    if not signature.named:
        # Any names do: the values are taken in the text order of the names.
        names = {c.name: column_property(c) for c in extra}
        return {
            **found,
            "properties": names,
            "additionalProperties": {},
            "minProperties": len(signature.columns),
        }
    return {**found, "additionalProperties": False, **({"required": required} if required else {})}


def _described(column: Column) -> str:
    seen = f"Seen in training: {column.observed[0]:g} to {column.observed[1]:g}." if column.observed else ""
    return " ".join(part for part in (column.description, seen) if part)
