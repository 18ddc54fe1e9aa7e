"""The signature of a model: its columns, parameters and output, declared as plain data.

Rows travel through the whole server as one ndarray of shape (n_rows, n_columns): float64 when every column is
numeric (a boolean is then 0.0 or 1.0), else dtype object with Python values as they came. Both can be sliced
and concatenated by row without knowing the model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from numbers import Real
from typing import Any, Literal, get_args

from models.moments import date_ns, datetime_ns

Dtype = Literal["float", "int", "bool", "string", "category", "date", "datetime", "duration"]
OutputKind = Literal["number", "class", "vector", "several", "records"]

_DTYPES = get_args(Dtype)

#: Types that fit a float64 matrix.
NUMERIC: frozenset[str] = frozenset({"float", "int", "bool", "duration"})
#: Types of quantities, whose bounds are numbers.
MEASURED: frozenset[str] = frozenset({"float", "int", "duration"})
#: Types of text that stands for a moment, whose bounds are text too.
MOMENTS: frozenset[str] = frozenset({"date", "datetime"})

#: Integers of 2**53 and more are refused, because they are not exact in JSON (RFC 8259, section 6) or
#: float64.
MAX_EXACT_INT = 2**53
FLOAT32_MAX = (2 - 2**-23) * 2.0**127

#: The largest absolute value of a cell, whatever the signature declares. A float fits float32, in which trees
#: and others compute: they fail beyond it. An integer stays below 2**53, because 2**53 + 1 becomes 2**53 in a
#: float64.
LARGEST: dict[str, float] = {
    "float": FLOAT32_MAX,
    "duration": FLOAT32_MAX,
    "int": MAX_EXACT_INT - 1,
}


@dataclass(frozen=True, slots=True)
class Column:
    """One named, typed value: an input column, a parameter, or a column of a record in the output.

    The types with more to say:

        date      text in the form YYYY-MM-DD (RFC 3339 full-date)
        datetime  text in the form YYYY-MM-DDThh:mm:ss, with up to nine digits after the second
        duration  a number of seconds

    Raises ValueError for declarations that contradict each other.
    """

    name: str
    dtype: Dtype = "float"
    description: str = ""
    #: The value of a column that a request leaves out. A column without a default is required.
    default: Any = None
    #: Null is accepted; the model gets NaN or None.
    nullable: bool = False
    #: An object may leave the column out although it has no default, which means null.
    optional: bool = False
    #: Declared constraints: an input outside them is refused. The bounds are numbers; those of dates and
    #: date-times are text of the column's own form, compared as moments.
    minimum: Any = None
    maximum: Any = None
    #: What the bounds follow from if no person chose them, such as "uint8".
    limit_of: str = ""
    min_length: int | None = None
    max_length: int | None = None
    values: tuple[Any, ...] | None = None
    #: The range of the training data, of the same type as the bounds. An input outside it is drift, not an
    #: error.
    observed: tuple[Any, Any] | None = None
    #: The time zone in which the model computes date-times, such as UTC or Europe/Berlin. With one, an offset
    #: or Z must follow the time (RFC 3339 date-time); without one, neither may.
    timezone: str = ""
    example: Any = None

    def __post_init__(self) -> None:
        if self.dtype not in _DTYPES:
            raise ValueError(f"column {self.name!r}: unknown dtype {self.dtype!r}; use one of {_DTYPES}")
        if self.dtype == "category" and not self.values:
            raise ValueError(f"column {self.name!r}: a category needs its values")
        if self.timezone and self.dtype != "datetime":
            raise ValueError(f"column {self.name!r}: only a datetime has a time zone")
        if self.optional and not self.nullable:
            raise ValueError(
                f"column {self.name!r}: an optional column may also be null; declare it nullable too"
            )
        for bound in (self.minimum, self.maximum):
            if bound is not None and not self._can_bound(bound):
                raise ValueError(f"column {self.name!r}: {bound!r} cannot limit the type {self.dtype}")

    @property
    def required(self) -> bool:
        """Whether a request must contain the column."""
        return self.default is None and not self.optional

    @property
    def numeric(self) -> bool:
        """Whether the column fits a float64 matrix."""
        return self.dtype in NUMERIC

    @property
    def seen(self) -> str:
        """The range of the training data in words; empty if unknown."""
        if self.observed is None:
            return ""
        return " to ".join(end if isinstance(end, str) else f"{end:g}" for end in self.observed)

    def moment(self, text: str) -> int | None:
        """Return a date or date-time as nanoseconds since 1970-01-01; None if the text is not valid in this
        column.
        """
        return date_ns(text) if self.dtype == "date" else datetime_ns(text, offset=bool(self.timezone))

    def natural(self, cell: Any) -> Any:
        """Return a cell of a row in JSON's type: in a float64 matrix, integers and booleans are floats."""
        if cell is None or cell != cell:
            return None
        kind = _NATURAL.get(self.dtype)
        return cell if kind is None else kind(cell)

    def _can_bound(self, bound: Any) -> bool:
        if self.dtype in MOMENTS:
            return isinstance(bound, str) and self.moment(bound) is not None
        return self.dtype in MEASURED and isinstance(bound, Real) and not isinstance(bound, bool)


_NATURAL: dict[str, type] = {"int": int, "bool": bool, "float": float, "duration": float}


@dataclass(frozen=True, slots=True)
class Output:
    """The answer to one row.

    The kinds:

        number    one float
        class     one of ``classes``, with a probability for each if ``probability``
        vector    a list of ``size`` floats
        several   an object with one number or class for each of ``outputs``
        records   a list of objects with the given ``columns``, any number of them for a row
    """

    kind: OutputKind
    #: JSON numbers, text or booleans.
    classes: tuple[Any, ...] = ()
    #: Of several outputs, either all classes have probabilities or none has.
    probability: bool = False
    size: int | None = None
    columns: tuple[Column, ...] = ()
    #: The column of records that the server fills with the number of the version that answers.
    version_column: str | None = None
    name: str = ""
    #: The names of a vector's components, if they have any.
    components: tuple[str, ...] = ()
    #: The named parts of several outputs.
    outputs: tuple[Output, ...] = ()
    #: Named numbers or vectors that accompany the prediction.
    scores: tuple[Output, ...] = ()
    #: The method of an estimator that computes the prediction, and its arguments next to the rows.
    method: str = "predict"
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.kind not in get_args(OutputKind):
            raise ValueError(f"unknown output {self.kind!r}; use one of {get_args(OutputKind)}")
        if self.kind == "several" and not self.outputs:
            raise ValueError("several outputs need the outputs themselves")
        for group in (self.outputs, self.scores):
            names = [output.name for output in group]
            if "" in names or len(set(names)) < len(names):
                raise ValueError(
                    f"outputs and scores need names that differ from each other; these are {names}"
                )

    @property
    def width(self) -> int:
        """The number of numbers or labels in the answer to one row."""
        return len(self.outputs) if self.kind == "several" else self.size or 1

    @property
    def with_classes(self) -> tuple[Output, ...]:
        """The outputs that have classes, in the order of their probabilities: itself, or those of several."""
        return tuple(o for o in (self.outputs or (self,)) if o.kind == "class")

    def to_dict(self) -> dict[str, Any]:
        """Return the kind and the members that differ from their defaults, as plain JSON data."""
        data = {name: value for name, value in _compact(self).items() if value}
        data["columns"] = [_compact(c) for c in self.columns]
        for key in ("outputs", "scores"):
            if key in data:
                data[key] = [output.to_dict() for output in getattr(self, key)]
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Output:
        """Return the output of ``to_dict``; raises ValueError, TypeError or KeyError for data that is not
        valid.
        """
        tuples = {key: tuple(data[key]) for key in ("classes", "components") if key in data}
        nested = {
            key: tuple(cls.from_dict(o) for o in data[key]) for key in ("outputs", "scores") if key in data
        }
        columns = tuple(_column(c) for c in data.get("columns", ()))
        return cls(**{**data, **tuples, **nested, "columns": columns})


@dataclass(frozen=True, slots=True)
class Signature:
    """The whole contract of a model."""

    columns: tuple[Column, ...]
    output: Output
    #: Values that a request gives once, for all of its rows.
    parameters: tuple[Column, ...] = ()
    #: False if the model recorded no feature names. Its columns are then called x0, x1 .., and an object with
    #: any names is accepted in the text order of its keys.
    named: bool = True
    #: Replies consist of the prediction alone, without an envelope.
    bare: bool = False
    #: Text is accepted for numbers and booleans in JSON's spelling ("12", "1.5e3", "true"), for clients that
    #: can only send text.
    coerce: bool = False
    _index: Mapping[str, int] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        for group in (self.columns, self.parameters):
            repeated = [name for name, n in Counter(column.name for column in group).items() if n > 1]
            if repeated:
                raise ValueError(f"names given twice: {', '.join(sorted(repeated)[:20])}")
        if not self.columns:
            raise ValueError("a signature needs at least one column")
        both = {c.name for c in self.columns} & {p.name for p in self.parameters}
        if both:
            raise ValueError(f"both a column and a parameter: {', '.join(sorted(both))}")
        object.__setattr__(self, "_index", {column.name: i for i, column in enumerate(self.columns)})

    @property
    def numeric(self) -> bool:
        """Whether rows are float64 of shape (n_rows, n_columns); otherwise they have dtype object."""
        return all(column.numeric for column in self.columns)

    @property
    def one_text(self) -> bool:
        """Whether a row is a single text, which a request may then send instead of a row."""
        one = self.columns[0]
        texts = all(isinstance(value, str) for value in one.values or ())
        return len(self.columns) == 1 and not one.numeric and texts

    def index(self, name: str) -> int | None:
        """Return the position of a column; None if no column has that name."""
        return self._index.get(name)

    def with_examples(self, row: list[Any], parameters: Mapping[str, Any]) -> Signature:
        """Return the signature with an example value in every column and parameter."""
        columns = tuple(
            replace(c, example=c.natural(value)) for c, value in zip(self.columns, row, strict=True)
        )
        params = tuple(replace(p, example=parameters.get(p.name, p.default)) for p in self.parameters)
        return replace(self, columns=columns, parameters=params)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data, which ``from_dict`` turns back into the same signature."""
        return {
            "columns": [_compact(c) for c in self.columns],
            "parameters": [_compact(p) for p in self.parameters],
            "output": self.output.to_dict(),
            "named": self.named,
            "bare": self.bare,
            "coerce": self.coerce,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Signature:
        """Return the signature of ``to_dict``; raises ValueError, TypeError or KeyError for data that is not
        valid.
        """
        return cls(
            columns=tuple(_column(c) for c in data["columns"]),
            parameters=tuple(_column(p) for p in data.get("parameters", ())),
            output=Output.from_dict(data["output"]),
            named=data.get("named", True),
            bare=data.get("bare", False),
            coerce=data.get("coerce", False),
        )


def _compact(value: Column | Output) -> dict[str, Any]:
    """Return the name, the type and the fields that differ from their defaults."""
    always = {"name", "dtype", "kind"}
    values_by_field = ((f, getattr(value, f.name)) for f in fields(value))
    return {
        f.name: value_given
        for f, value_given in values_by_field
        if f.name in always or value_given != f.default
    }


def _column(data: Mapping[str, Any]) -> Column:
    tuples = {key: tuple(data[key]) for key in ("values", "observed") if data.get(key) is not None}
    return Column(**{**data, **tuples})
