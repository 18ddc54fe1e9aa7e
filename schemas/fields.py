"""The marshmallow fields of a request: a vectorised one for rows, a strict one for single values.

Each carries its OpenAPI property in its metadata, so that the document shows what the field enforces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
from marshmallow import ValidationError, fields

from models.errors import Fault
from models.moments import LOCAL_PATTERN
from models.signature import MOMENTS, Column, Signature
from schemas.cells import NUMBER_PATTERN, Cells, shown, takes_text_for
from schemas.matrix import Rows


class RowField(fields.Field[np.ndarray]):
    """One row, a list or an object by name -> ndarray of shape (1, n_columns)."""

    def __init__(self, rows: Rows, **kwargs: Any) -> None:
        super().__init__(
            metadata={"oneOf": row_forms(rows.signature)},
            error_messages=dict.fromkeys(("required", "null"), rows.expected_row),
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

    def __init__(self, column: Column, *, coerce: bool = False, **kwargs: Any) -> None:
        default = {} if column.required else {"load_default": column.default}
        self._cells = cells = Cells(column, coerce=coerce)
        super().__init__(
            data_key=column.name,
            required=column.required,
            allow_none=column.nullable,
            metadata=column_property(column, coerce=coerce),
            error_messages=dict.fromkeys(("required", "null"), cells.expected),
            **default,
            **kwargs,
        )
        self.column = column

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> Any:
        fault = self._cells.fault(value)
        if fault is not None:
            raise ValidationError([fault])
        return self.column.natural(self._cells.read(value))


_KINDS: dict[str, dict[str, Any]] = {
    "float": {"type": "number"},
    "int": {"type": "integer"},
    "bool": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"},
    "duration": {"type": "number"},
    "string": {"type": "string"},
    "category": {},
}


def column_property(column: Column, *, coerce: bool = False) -> dict[str, Any]:
    """The OpenAPI 3.0.3 property of a column; ``coerce`` as in the signature."""
    kind = _KINDS[column.dtype]
    if column.dtype == "datetime" and not column.timezone:
        kind = {"type": "string", "pattern": LOCAL_PATTERN}  # a date-time of RFC 3339 has an offset
    bounded = column.dtype not in MOMENTS
    found = {
        **kind,
        "minimum": column.minimum if bounded else None,
        "maximum": column.maximum if bounded else None,
        "minLength": column.min_length,
        "maxLength": column.max_length,
        "enum": None if column.values is None else [*column.values, *([None] if column.nullable else [])],
        "default": column.default,
        "nullable": column.nullable or None,
        "description": _described(column) or None,
        "example": column.example,
    }
    described = {key: value for key, value in found.items() if value is not None}
    return _or_text(column, described) if coerce and takes_text_for(column) else described


def _or_text(column: Column, described: dict[str, Any]) -> dict[str, Any]:
    """The same value, or the text of it. What is said about it stands beside both."""
    names = ("default", "description", "example")
    beside: dict[str, Any] = {name: described.pop(name) for name in names if name in described}
    text: dict[str, Any] = {"type": "string", "pattern": NUMBER_PATTERN}
    if column.values is not None or column.dtype == "bool":
        text = {"type": "string", "enum": [_json_text(v) for v in column.values or (True, False)]}
    return {"anyOf": [described, text], **beside}


def _json_text(value: Any) -> str:
    return orjson.dumps(value).decode()


def row_forms(signature: Signature) -> list[dict[str, Any]]:
    """The forms of a row in OpenAPI: a list in the order of the columns, an object by name, the text of the only column."""
    names = [c.name for c in signature.columns]
    example = [c.example for c in signature.columns]
    width = len(names)
    order = ", ".join(names) if signature.named else f"{width} values"
    listed = {
        "type": "array",
        "items": {},
        "minItems": width,
        "maxItems": width,
        "description": f"In this order: {order}",
        "example": example,
    }
    text = replace(signature.columns[0], nullable=False, optional=False, default=None)
    return [listed, row_object(signature), *([column_property(text)] if signature.one_text else [])]


def row_object(signature: Signature, extra: tuple[Column, ...] = ()) -> dict[str, Any]:
    """A row by name in OpenAPI, with further columns beside it in the bare form."""
    columns = (*signature.columns, *extra)
    required = [c.name for c in columns if c.required]
    found: dict[str, Any] = {
        "type": "object",
        "properties": {c.name: column_property(c, coerce=signature.coerce) for c in columns},
        "example": {c.name: c.example for c in columns},
    }
    if not signature.named:
        # Any names do: the values are taken in the text order of the names.
        names = {c.name: column_property(c, coerce=signature.coerce) for c in extra}
        return {
            **found,
            "properties": names,
            "additionalProperties": {},
            "minProperties": len(signature.columns),
        }
    return {**found, "additionalProperties": False, **({"required": required} if required else {})}


def _described(column: Column) -> str:
    parts = [column.description]
    if column.dtype == "duration":
        parts.append("In seconds.")
    if column.dtype in MOMENTS and (column.minimum, column.maximum) != (None, None):
        parts.append(f"From {column.minimum or '..'} to {column.maximum or '..'}.")
    if column.observed:
        parts.append(f"Seen in training: {column.seen}.")
    return " ".join(part for part in parts if part)
