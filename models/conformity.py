"""Validation of a model's answers against its signature."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np

from models.outputs import Outputs
from models.signature import Column, Output

#: Dtype of a record's column -> the Python types that JSON preserves.
_TYPES: dict[str, tuple[type, ...]] = {
    "float": (float, int),
    "duration": (float, int),
    "int": (int,),
    "bool": (bool,),
}

NOT_FINITE = "answers NaN or Infinity for a row; JSON has no such number"

#: Type of a class -> the kinds of dtype in which equal values have its type. 1, 1.0 and True are equal but
#: are different labels; only text equals text.
_KINDS: Mapping[type, str] = {int: "iu", float: "f", bool: "b", str: "UO"}

#: For fewer rows, a check in NumPy takes longer than one in Python.
MANY_ROWS = 64

#: A function from answers and the number of rows to their fault, as a clause about the model.
Judge = Callable[[Outputs, int], str]


def misfit(output: Output, outputs: Outputs, n_rows: int) -> str:
    """Return the fault of the answers to n_rows rows, as a clause about the model; empty if they conform."""
    return judge(output)(outputs, n_rows)


def judge(output: Output) -> Judge:
    """Return ``misfit`` of one output, prepared for many calls."""
    shape = (output.width,) if output.kind in ("vector", "several") else ()
    check = _check_of(output)
    n_probabilities = sum(len(one.classes) for one in output.with_classes) if output.probability else None
    n_scores = sum(score.width for score in output.scores) or None

    def of_answers(outputs: Outputs, n_rows: int) -> str:
        values = outputs.values
        if values.shape != (n_rows, *shape):
            return _wrong_shape(values.shape, (n_rows, *shape))
        return (
            check(values)
            or _wrong_floats("probabilities", outputs.probabilities, n_rows, n_probabilities)
            or _wrong_floats("scores", outputs.scores, n_rows, n_scores)
        )

    return of_answers


def _check_of(output: Output) -> Callable[[np.ndarray], str]:
    """Return a function from values of the right shape to their fault."""
    if output.kind == "records":
        columns = {c.name: c for c in output.columns if c.name != output.version_column}
        return lambda values: next(
            (fault for records in values for r in records if (fault := _wrong_record(columns, r))), ""
        )
    if output.kind == "several":
        checks = list(map(_check_of, output.outputs))
        return lambda values: next(
            (
                f"{fault} of {one.name!r}"
                for one, check, column in zip(output.outputs, checks, values.T, strict=True)
                if (fault := check(column))
            ),
            "",
        )
    return _labels(output.classes) if output.kind == "class" else _wrong_numbers


def _wrong_numbers(values: np.ndarray) -> str:
    kind = values.dtype.kind
    if kind == "f":
        return "" if np.isfinite(values).all() else NOT_FINITE
    if kind in "iu":
        return ""
    culprit = str(values.dtype)
    if kind == "O":
        culprit = next((repr(v) for v in values.ravel().tolist() if type(v) not in (int, float)), culprit)
    return f"answers {culprit:.50} where numbers are declared"


def _labels(classes: tuple[Any, ...]) -> Callable[[np.ndarray], str]:
    known, typed = frozenset(classes), {(type(c), c) for c in classes}
    types = {type(c) for c in classes}
    kinds = _KINDS.get(types.pop(), "") if len(types) == 1 else ""
    # Most labels are 0, 1, 2 ..: the least and the greatest value then decide, in a fraction of the time.
    first, last = (min(classes), max(classes)) if kinds == _KINDS[int] else (0, -1)
    steps = len(known) == last - first + 1

    def wrong(values: np.ndarray) -> str:
        usual = values.dtype.kind in kinds
        if usual and steps and len(values) > MANY_ROWS and first <= values.min() and values.max() <= last:
            return ""
        labels = values.tolist()
        if usual and _are_all(labels, known):
            return ""
        unknown = [v for v in labels if not isinstance(v, Hashable) or (type(v), v) not in typed]
        if not unknown:
            return ""
        return f"answers {sorted({str(v)[:50] for v in unknown})[:3]}, which are not among its classes"

    return wrong


def _are_all(labels: list[Any], known: frozenset[Any]) -> bool:
    try:
        return known.issuperset(labels)
    except TypeError:  # a list has no hash
        return False


def _wrong_floats(what: str, array: np.ndarray | None, n_rows: int, width: int | None) -> str:
    if array is None:
        return f"gives no {what} where {(n_rows, width)} is declared" if width else ""
    if width is None or array.shape != (n_rows, width):
        declared = "none" if width is None else (n_rows, width)
        return f"gives {what} of shape {array.shape} where {declared} is declared"
    return "" if np.isfinite(array).all() else NOT_FINITE


def _wrong_shape(shape: tuple[int, ...], declared: tuple[int, ...]) -> str:
    if shape and shape[0] != declared[0]:
        return f"answers {shape[0]} rows where {declared[0]} were asked"
    return f"answers in shape {shape} where {declared} is declared"


def _wrong_record(columns: Mapping[str, Column], record: Any) -> str:
    if not isinstance(record, dict) or record.keys() != columns.keys():
        return f"answers a record with {sorted(map(str, record))} where {sorted(columns)} are declared"
    return next(
        (fault for name, value in record.items() if (fault := _wrong_value(columns[name], value))), ""
    )


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
