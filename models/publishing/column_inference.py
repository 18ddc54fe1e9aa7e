"""The columns of a signature: types and limits from the sample, allowed values from the encoders inside a
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


def infer_columns(model: Any, names: Sequence[str], column_types: Sequence[ColumnType]) -> tuple[Column, ...]:
    """Return the columns of a sample, as far as its values and the encoders inside the model determine
    them.
    """
    strict = _categories(model, names, strict=True)
    return tuple(
        _column(name, column_type, strict.get(name))
        for name, column_type in zip(names, column_types, strict=True)
    )


def _column(name: str, column_type: ColumnType, strict: Sequence[Any] | None) -> Column:
    dtype, cells = column_type.dtype, column_type.cells
    allowed = strict if column_type.categories is None else column_type.categories
    nullable = any(c is None or c != c for c in cells)
    values = None if allowed is None else tuple(v for v in allowed if v is not None and v == v)
    if values is not None and not {c for c in cells if c is not None and c == c} <= set(values):
        values = None  # the encoder gets something other than this column
    if values is not None and dtype == "string":
        dtype = "category"
    limits = (
        {}
        if values
        else {
            "minimum": column_type.minimum,
            "maximum": column_type.maximum,
            "limit_of": column_type.limit_of,
        }
    )
    column = Column(name, dtype, nullable=nullable, values=values, timezone=column_type.timezone, **limits)
    # A single row is an example, and does not show the range of the data.
    if len(cells) == 1 or dtype not in MEASURED | MOMENTS:
        return column
    return replace(column, observed=observed_range(cells, column.moment if dtype in MOMENTS else None))


def text_columns(model: Any, names: Sequence[str]) -> list[str]:
    """Return the columns that an encoder inside the model knows only as text, though they may look like
    numbers.
    """
    return [
        name
        for name, values in _categories(model, names, strict=False).items()
        if {type(v) for v in values if v is not None and v == v} == {str}
    ]


def _categories(model: Any, names: Sequence[str], *, strict: bool) -> dict[str, list[Any]]:
    """Map columns to the values that an encoder inside the model knows.

    ``strict`` selects encoders that raise for any other value.
    """
    categories: dict[str, list[Any]] = {}
    for part in estimator_parts(model):
        part_names = [str(n) for n in getattr(part, "feature_names_in_", ())] or list(names)
        categories.update(_encoder_categories(part, part_names, strict))
        # A ColumnTransformer selects by name, position, slice, mask or callable; this attribute has
        # positions.
        for key, positions in getattr(part, "_transformer_to_input_indices", {}).items():
            selected = [part_names[i] for i in positions if i < len(part_names)]
            for inner in estimator_parts(part.named_transformers_.get(key)):
                categories.update(_encoder_categories(inner, selected, strict))
    return categories


def _encoder_categories(part: Any, names: Sequence[str], strict: bool) -> dict[str, list[Any]]:
    categories = getattr(part, "categories_", None)
    if (
        categories is None
        or (strict and getattr(part, "handle_unknown", None) != "error")
        or len(categories) != len(names)
    ):
        return {}
    return {name: values.tolist() for name, values in zip(names, categories, strict=True)}
