"""Whether what a model answered is what its signature declares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from models.outputs import Outputs
from models.signature import Column, Output

#: What JSON has for each dtype of a record's column. Other types would come back as something else.
_TYPES: dict[str, tuple[type, ...]] = {
    "float": (float, int),
    "duration": (float, int),
    "int": (int,),
    "bool": (bool,),
}


def misfit(output: Output, outputs: Outputs) -> str:
    """What is wrong with the answers of n_rows rows, as a clause about the model; empty when they fit."""
    values, probabilities = outputs.values, outputs.probabilities
    shape = (len(outputs), output.size) if output.kind == "vector" else (len(outputs),)
    if values.shape != shape:
        return f"answers in shape {values.shape} where {shape} is declared"
    if output.kind == "records":
        columns = {c.name: c for c in output.columns if c.name != output.version_column}
        return next((why for records in values for r in records if (why := _wrong_record(columns, r))), "")
    if output.kind == "class":
        unknown = {(type(v), v) for v in values.tolist()} - {(type(c), c) for c in output.classes}
        if unknown:
            return f"answers {sorted(str(v) for _, v in unknown)[:3]}, which are not among its classes"
    elif values.dtype.kind not in "fiu":
        return f"answers {values.dtype} where numbers are declared"
    expected = (len(outputs), len(output.classes)) if output.probability else None
    if (None if probabilities is None else probabilities.shape) != expected:
        found = "none" if probabilities is None else f"shape {probabilities.shape}"
        return f"gives probabilities of {found} where {expected or 'none'} is declared"
    return "" if finite(outputs) else "answers NaN or Infinity for a row; JSON has no such number"


def finite(outputs: Outputs) -> bool:
    """Whether every float of the values and probabilities is a number that JSON has."""
    answers = (outputs.values, outputs.probabilities)
    return all(np.isfinite(a).all() for a in answers if a is not None and a.dtype.kind == "f")


def _wrong_record(columns: Mapping[str, Column], record: Any) -> str:
    if not isinstance(record, dict) or record.keys() != columns.keys():
        return f"answers a record with {sorted(map(str, record))} where {sorted(columns)} are declared"
    return next((why for name, value in record.items() if (why := _wrong_value(columns[name], value))), "")


def _wrong_value(column: Column, value: Any) -> str:
    if value is None and column.nullable:
        return ""
    if isinstance(value, float) and not math.isfinite(value):
        return f"answers NaN or Infinity for {column.name!r}; JSON has no such number"
    types = _TYPES.get(column.dtype, (str,))
    fits = isinstance(value, types) and (bool in types or not isinstance(value, bool))
    if column.values is not None:
        fits = value in column.values
    return (
        "" if fits else f"answers {type(value).__name__} {value!r:.50} for {column.name!r} ({column.dtype})"
    )
