"""Which columns a signature has: types and limits from the sample, allowed values from the encoders inside a
model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from models.column_types import ColumnType
from models.publishing.reference import observed_range
from models.runtimes.estimator_parts import estimator_parts
from models.signature import MEASURED, MOMENTS, Column


def infer_columns(model: Any, names: Sequence[str], found: Sequence[ColumnType]) -> tuple[Column, ...]:
    """The columns of a sample, as far as the values and the encoders inside the model tell."""
    strict = _categories(model, names, strict=True)
    return tuple(_column(name, of, strict.get(name)) for name, of in zip(names, found, strict=True))


def _column(name: str, of: ColumnType, strict: Sequence[Any] | None) -> Column:
    dtype, cells = of.dtype, of.cells
    allowed = strict if of.categories is None else of.categories
    nullable = any(c is None or c != c for c in cells)
    values = None if allowed is None else tuple(v for v in allowed if v is not None and v == v)
    if values is not None and not {c for c in cells if c is not None and c == c} <= set(values):
        values = None  # the encoder sees something else than this column
    if values is not None and dtype == "string":
        dtype = "category"
    limits = {} if values else {"minimum": of.minimum, "maximum": of.maximum, "limit_of": of.limit_of}
    column = Column(name, dtype, nullable=nullable, values=values, timezone=of.timezone, **limits)
    # A single row is an example; it says nothing about the range of the data.
    if len(cells) == 1 or dtype not in MEASURED | MOMENTS:
        return column
    return replace(column, observed=observed_range(cells, column.moment if dtype in MOMENTS else None))


def text_columns(model: Any, names: Sequence[str]) -> list[str]:
    """The columns of which an encoder inside the model knows nothing but text, though it may look like
    numbers.
    """
    return [
        name
        for name, values in _categories(model, names, strict=False).items()
        if {type(v) for v in values if v is not None and v == v} == {str}
    ]


def _categories(model: Any, names: Sequence[str], *, strict: bool) -> dict[str, list[Any]]:
    """Column -> the values that an encoder inside the model knows; with ``strict`` where it raises for any
    other.
    """
    found: dict[str, list[Any]] = {}
    for part in estimator_parts(model):
        own = [str(n) for n in getattr(part, "feature_names_in_", ())] or list(names)
        found.update(_encoder_categories(part, own, strict))
        # A ColumnTransformer selects by name, position, slice, mask or callable; this has it as positions.
        for key, positions in getattr(part, "_transformer_to_input_indices", {}).items():
            selected = [own[i] for i in positions if i < len(own)]
            for inner in estimator_parts(part.named_transformers_.get(key)):
                found.update(_encoder_categories(inner, selected, strict))
    return found


def _encoder_categories(part: Any, names: Sequence[str], strict: bool) -> dict[str, list[Any]]:
    categories = getattr(part, "categories_", None)
    if (
        categories is None
        or (strict and getattr(part, "handle_unknown", None) != "error")
        or len(categories) != len(names)
    ):
        return {}
    return {name: values.tolist() for name, values in zip(names, categories, strict=True)}
