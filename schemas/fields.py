"""The marshmallow fields of requests: vectorised ones for rows, a strict one for single values.

The metadata of a single value's field has its JSON Schema. Those of rows are shared by all operations of a
version and are written separately (``schemas/properties.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from marshmallow import RAISE, Schema, ValidationError, fields

from models.errors import Fault
from models.signature import Column
from schemas.cells import Cells, shown
from schemas.matrix import Rows
from schemas.properties import column_property


class Body(Schema):
    """The base of request bodies, which refuses undeclared members."""

    class Meta:
        unknown = RAISE


class RowField(fields.Field[np.ndarray]):
    """One row as a list, or as an object by name -> ndarray of shape (1, n_columns)."""

    def __init__(self, rows: Rows, **kwargs: Any) -> None:
        super().__init__(
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
        self._expected = f"a list of 1 to {max_rows} rows"
        super().__init__(
            metadata={"type": "array", "minItems": 1, "maxItems": max_rows},
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
    """One value of a column or parameter, not converted: no text for numbers, no 1.9 as integer."""

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
