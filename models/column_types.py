"""The types of DataFrame columns: their spelling in JSON, and how cells are rebuilt from JSON.

pandas has several dtypes for one kind of value: NumPy's, its own extension types, and Arrow's. A range that
is smaller than JSON's becomes a limit of the column, so that a request is refused where the value would wrap.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from models.errors import PublishError
from models.moment_columns import duration_column, moment_column, moment_range, moment_text, unit_of
from models.moments import LONGEST
from models.signature import MAX_EXACT_INT, Dtype

#: Types of Python values in a column of objects -> the kind of the column.
_OBJECTS: tuple[tuple[Dtype, frozenset[type]], ...] = (
    ("bool", frozenset({bool, np.bool_})),
    ("int", frozenset({int})),
    ("float", frozenset({int, float})),
    ("string", frozenset({str, np.str_})),
    ("date", frozenset({datetime.date})),
    ("datetime", frozenset({datetime.datetime, pd.Timestamp})),
)
#: The accepted types, for messages about other dtypes.
TAKEN = "numbers, booleans, text, categories, dates, date-times and durations"

#: A function from the cells of one column to the column that pandas has of them.
Build = Callable[[list[Any]], Any]

_WHOLE_DAYS = re.compile(r"datetime64\[\w+\]|date(32|64)\[\w+\]\[pyarrow\]")


@dataclass(frozen=True, slots=True, eq=False)
class ColumnType:
    """One column of a sample in the terms of JSON."""

    dtype: Dtype
    #: The values in JSON's spelling, None for a missing one.
    cells: list[Any]
    #: The dtype from which ``column_builder`` rebuilds the pandas column.
    pandas_dtype: str
    #: The least and greatest value that the dtype holds, if JSON can spell values beyond them.
    minimum: Any = None
    maximum: Any = None
    #: The time zone in which the model computes date-times.
    timezone: str = ""
    #: The values of a column of categories.
    categories: tuple[Any, ...] | None = None

    @property
    def limit_of(self) -> str:
        """The dtype that sets the limits; empty without limits."""
        return "" if self.minimum is None and self.maximum is None else self.pandas_dtype


def read_column(name: str, series: pd.Series) -> ColumnType:
    """Return the column ``name`` of a sample; raises PublishError for values that JSON cannot carry."""
    dtype = series.dtype
    cells = [
        None if missing else cell
        for cell, missing in zip(series.astype(object).tolist(), series.isna().tolist(), strict=True)
    ]
    if isinstance(dtype, pd.CategoricalDtype):
        return _category(name, dtype, cells)
    if types.is_object_dtype(dtype) and str(dtype) == "object":
        return _objects(name, series, cells)
    text = str(dtype)
    if types.is_bool_dtype(dtype):
        return ColumnType("bool", [c if c is None else bool(c) for c in cells], text)
    if types.is_integer_dtype(dtype):
        return _integers(name, cells, text, np.dtype(getattr(dtype, "numpy_dtype", None) or dtype.type))
    if types.is_float_dtype(dtype):
        limit = 65504.0 if text.lower().startswith(("float16", "halffloat")) else None
        return ColumnType(
            "float", [c if c is None else float(c) for c in cells], text, limit and -limit, limit
        )
    if types.is_string_dtype(dtype) or text.startswith("dictionary<values=string"):
        return ColumnType("string", [c if c is None else str(c) for c in cells], text)
    if types.is_datetime64_any_dtype(dtype):
        return _moments(cells, text, str(getattr(dtype, "tz", None) or _arrow_zone(text)))
    if getattr(dtype, "kind", "") == "m":
        lengths = [c if c is None else pd.Timedelta(c).total_seconds() for c in cells]
        longest = LONGEST[unit_of(text)]
        return ColumnType("duration", lengths, text, -longest, longest)
    raise PublishError(f"column {name!r} has dtype {text}, which JSON cannot carry; a column holds {TAKEN}")


def column_builder(pandas_dtype: str, categories: Sequence[Any] = ()) -> Build:
    """Return a function that builds a pandas column from cells in JSON's spelling, None or NaN for a missing
    one.

    The function raises ValueError, TypeError or OverflowError for a cell that the dtype cannot hold; nothing
    wraps. ``categories`` are the values of a column of categories, from the signature.
    """
    kind, _, inner = pandas_dtype.partition("[")
    inner = inner.removesuffix("]")
    if kind.startswith("category"):
        return _categories_builder(pandas_dtype, categories)
    if kind == "object":
        return partial(_object_column, inner)
    if pandas_dtype == "string[pyarrow]" or kind.startswith("dictionary<"):
        return partial(_extension_array, _arrow_text(kind), None)
    if kind in ("datetime64", "timestamp", "date32", "date64"):
        return partial(moment_column, pandas_dtype)
    if kind in ("timedelta64", "duration"):
        return partial(duration_column, pandas_dtype)
    if kind == "Sparse":
        subtype, _, fill = inner.partition(", ")
        filled = {"nan": np.nan, "False": False, "True": True}.get(fill)
        return partial(
            _extension_array, pd.SparseDtype(subtype, float(fill) if filled is None else filled), np.nan
        )
    if pandas_dtype in _NUMPY_WHOLE:
        return partial(_whole, pandas_dtype)
    if re.fullmatch(r"u?int\d+\[pyarrow\]|U?Int\d+", pandas_dtype):
        return partial(_nullable_integers, pandas_dtype)
    if pandas_dtype in ("float16", "float32", "float64"):
        return partial(np.array, dtype=pandas_dtype)  # None becomes NaN
    return partial(_extension_array, pandas_dtype, np.nan if kind == "str" else None)


def _extension_array(pandas_dtype: Any, missing: Any, cells: list[Any]) -> Any:
    return pd.array([missing if c is None or c != c else c for c in cells], dtype=pandas_dtype)


def _nullable_integers(pandas_dtype: str, cells: list[Any]) -> Any:
    return pd.array([None if c is None or c != c else _exact(c) for c in cells], dtype=pandas_dtype)


#: Integers and booleans of NumPy, which have no missing value.
_NUMPY_WHOLE = frozenset({f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)} | {"bool"})


def _whole(dtype: str, cells: list[Any]) -> Any:
    """Return integers or booleans; with a missing value, the column that pandas makes of such values."""
    if any(c is None or c != c for c in cells):
        if dtype == "bool":
            return pd.Series([np.nan if c is None or c != c else bool(c) for c in cells], dtype=object)
        return np.array([np.nan if c is None else c for c in cells], dtype=np.float64)
    return np.array(cells if dtype == "bool" else [_exact(c) for c in cells], dtype=dtype)


def _exact(cell: Any) -> int:
    whole = int(cell)
    if whole != cell:
        raise ValueError(f"{cell!r} is not an integer")
    return whole


def _integers(name: str, cells: list[Any], text: str, dtype: np.dtype[Any]) -> ColumnType:
    present = [c for c in cells if c is not None]
    if present and max(map(abs, map(int, present))) >= MAX_EXACT_INT:
        raise PublishError(
            f"column {name!r} holds {max(present, key=abs)}: integers of 2**53 and more are not "
            "exact in JSON; train with text in that column, or without it"
        )
    limits = np.iinfo(dtype)
    low = int(limits.min) if limits.min > -MAX_EXACT_INT else None
    high = int(limits.max) if limits.max < MAX_EXACT_INT else None
    return ColumnType("int", [c if c is None else int(c) for c in cells], text, low, high)


def _objects(name: str, series: pd.Series, cells: list[Any]) -> ColumnType:
    cell_types = {type(c) for c in cells if c is not None}
    # NaN and None are two values to an encoder, but a request can only send null.
    holes = [c for c in series.tolist() if c is None or c != c]
    none = "[none]" if holes and all(c is None for c in holes) else ""
    for dtype, accepted in _OBJECTS:
        if not (cell_types and cell_types <= accepted):
            continue
        if dtype == "date":
            return ColumnType("date", [c if c is None else c.isoformat() for c in cells], "object[date]")
        if dtype == "datetime":
            zones = {str(c.tzinfo) for c in cells if c is not None and c.tzinfo is not None}
            if len(zones) > 1:
                break
            zone = next(iter(zones), "")
            return _moments(cells, f"object[datetime{f', {zone}' if zone else ''}]", zone)
        if dtype == "string":
            cells = [c if c is None else str(c) for c in cells]
        if dtype == "int":
            return ColumnType(
                "int", _integers(name, cells, "int64", np.dtype("int64")).cells, f"object{none}"
            )
        return ColumnType(dtype, cells, f"object{none}")
    held = ", ".join(sorted(k.__name__ for k in cell_types)) or "nothing but missing values"
    raise PublishError(f"column {name!r} holds {held}; give it one type: {TAKEN}")


def _object_column(inner: str, cells: list[Any]) -> Any:
    cells = [None if c is None or c != c else c for c in cells]
    if inner == "date":
        cells = [c if c is None else datetime.date.fromisoformat(c) for c in cells]
    elif inner.startswith("datetime"):
        moments = moment_column(f"datetime64[us{inner.removeprefix('datetime')}]", cells)
        cells = [None if m is pd.NaT else m.to_pydatetime() for m in moments]
    elif not inner:
        cells = [np.nan if c is None else c for c in cells]
    return pd.Series(cells, dtype=object)


def _moments(cells: list[Any], text: str, zone: str) -> ColumnType:
    present = [pd.Timestamp(c) for c in cells if c is not None]
    days = not zone and all(moment == moment.normalize() for moment in present)
    if days and _WHOLE_DAYS.fullmatch(text):
        low, high = ("1677-09-22", "2262-04-11") if "[ns]" in text else (None, None)
        return ColumnType(
            "date", [c if c is None else str(pd.Timestamp(c).date()) for c in cells], text, low, high
        )
    low, high = moment_range(text, zone)
    return ColumnType(
        "datetime", [c if c is None else moment_text(pd.Timestamp(c)) for c in cells], text, low, high, zone
    )


def _arrow_text(kind: str) -> Any:
    """Return a dtype of Arrow's text, which pandas cannot parse from its name."""
    import pyarrow

    text = pyarrow.string()
    return pd.ArrowDtype(text if kind == "string" else pyarrow.dictionary(pyarrow.int32(), text))


def _arrow_zone(text: str) -> str:
    match = re.search(r"tz=([^\]]+)\]\[pyarrow\]", text)
    return match.group(1) if match else ""


def _category(name: str, dtype: Any, cells: list[Any]) -> ColumnType:
    """Return a column of categories. Intervals and moments, which JSON lacks, become their text."""
    categories, text = dtype.categories, str(dtype.categories.dtype)
    order = " in order" if dtype.ordered else ""
    if text.startswith(("interval", "datetime64")):
        as_text = [c if c is None else str(c) for c in cells]
        return ColumnType(
            "category", as_text, f"category[{text}]{order}", categories=tuple(map(str, categories))
        )
    if not {type(c) for c in categories.tolist()} <= {int, float, bool, str}:
        raise PublishError(
            f"column {name!r} has categories of {text}; use numbers, booleans, text, intervals or dates"
        )
    return ColumnType("category", cells, f"category{order}", categories=tuple(categories.tolist()))


def _categories_builder(pandas_dtype: str, categories: Sequence[Any]) -> Build:
    subtype = re.sub(r"^category\[?", "", pandas_dtype.removesuffix(" in order")).removesuffix("]")
    values: Any = list(categories)
    if subtype.startswith("datetime64"):
        values = pd.DatetimeIndex(values).astype(subtype)
    elif subtype:
        values = pd.IntervalIndex([_interval(text) for text in values], dtype=subtype)
    dtype = pd.CategoricalDtype(values, ordered=pandas_dtype.endswith(" in order"))
    codes = {value: code for code, value in enumerate(categories)}

    def build(cells: list[Any]) -> Any:
        indices = [-1 if c is None or c != c else codes[c] for c in cells]
        return pd.Categorical.from_codes(indices, dtype=dtype)

    return build


def _interval(text: str) -> pd.Interval:
    """Parse an interval in the spelling of pandas, such as ``(0.5, 10]``."""
    left, right = text[1:-1].split(", ")
    closed = {"(]": "right", "[)": "left", "[]": "both", "()": "neither"}[text[0] + text[-1]]
    if re.match(r"\d{4}-", left):
        return pd.Interval(pd.Timestamp(left), pd.Timestamp(right), closed=closed)
    number = int if re.fullmatch(r"-?\d+", left) and re.fullmatch(r"-?\d+", right) else float
    return pd.Interval(number(left), number(right), closed=closed)
