"""What goes into a model and what comes out: columns, parameters and one output, declared as plain data.

Rows travel through the whole server as one ndarray of shape (n_rows, n_columns): float64 when every column is
numeric (a boolean is then 0.0 or 1.0), else dtype object with Python values as they came. Both can be sliced and
concatenated by row without knowing the model.
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

#: What fits a float64 matrix.
NUMERIC: frozenset[str] = frozenset({"float", "int", "bool", "duration"})
#: What is counted or measured, so that it can have a least and a greatest number.
MEASURED: frozenset[str] = frozenset({"float", "int", "duration"})
#: What is text that stands for a moment, so that its bounds are text too.
MOMENTS: frozenset[str] = frozenset({"date", "datetime"})

#: Integers beyond 2**53 are not exact in JSON (RFC 8259, section 6) nor in float64, so they are not taken.
MAX_EXACT_INT = 2**53
FLOAT32_MAX = (2 - 2**-23) * 2.0**127

#: The largest that a cell may be, whatever is declared. A float fits float32, in which trees and others compute: more
#: makes them fail. An integer stays below 2**53, because 2**53 + 1 becomes 2**53 on its way into a float64.
LARGEST: dict[str, float] = {
    "float": FLOAT32_MAX,
    "duration": FLOAT32_MAX,
    "int": MAX_EXACT_INT - 1,
}


@dataclass(frozen=True, slots=True)
class Column:
    """One named, typed value: an input column, a parameter, or a column of a record in the output.

    ``minimum``/``maximum``, ``min_length``/``max_length`` and ``values`` are declared constraints: an input outside
    them is refused. ``observed`` is the range of the training data: an input outside it is drift, not an error.
    A column without a default is required; ``nullable`` columns take null (NaN or None inside the model). An
    ``optional`` one may be left out of an object although it has no default, which is the same as null.

    date      text in the form YYYY-MM-DD (RFC 3339 full-date)
    datetime  text in the form YYYY-MM-DDThh:mm:ss, with up to nine digits after the second. If ``timezone`` names the
              zone that the model computes in, such as UTC or Europe/Berlin, an offset or Z must follow (RFC 3339
              date-time); if it is empty, none may
    duration  a number of seconds

    ``minimum`` and ``maximum`` are numbers; for dates and date-times they are text of the column's own form, compared
    as moments. ``limit_of`` says where they come from if no person chose them, such as "uint8". ``observed`` is of the
    same type as they are. Raises ValueError for what contradicts itself.
    """

    name: str
    dtype: Dtype = "float"
    description: str = ""
    default: Any = None
    nullable: bool = False
    optional: bool = False
    minimum: Any = None
    maximum: Any = None
    limit_of: str = ""
    min_length: int | None = None
    max_length: int | None = None
    values: tuple[Any, ...] | None = None
    observed: tuple[Any, Any] | None = None
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
                f"column {self.name!r}: what may be left out may be null; declare it nullable too"
            )
        for bound in (self.minimum, self.maximum):
            if bound is not None and not self._can_bound(bound):
                raise ValueError(f"column {self.name!r}: {bound!r} cannot limit the type {self.dtype}")

    @property
    def required(self) -> bool:
        """Whether a request has to give it."""
        return self.default is None and not self.optional

    @property
    def numeric(self) -> bool:
        """Whether the column fits a float64 matrix."""
        return self.dtype in NUMERIC

    @property
    def seen(self) -> str:
        """The range of the training data in words, empty where none is known."""
        if self.observed is None:
            return ""
        return " to ".join(end if isinstance(end, str) else f"{end:g}" for end in self.observed)

    def moment(self, text: str) -> int | None:
        """A date or date-time as nanoseconds since 1970-01-01, or None when the column takes no such text."""
        return date_ns(text) if self.dtype == "date" else datetime_ns(text, offset=bool(self.timezone))

    def natural(self, cell: Any) -> Any:
        """A cell of a row as JSON spells it: in a float64 matrix integers and booleans are floats."""
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
    """What one row is answered with.

    number    one float
    class     one of ``classes`` (JSON numbers, text or booleans), with a probability for each if ``probability``
    vector    a list of ``size`` floats; ``components`` are their names, if they have any
    several   an object with one number or class for each of ``outputs``, which have names; all classes have
              probabilities if ``probability``, or none has
    records   a list of objects with the given ``columns``, any number of them for a row; the server fills
              ``version_column``, when named, with the number of the version that answers

    ``scores`` are further numbers or vectors with names, beside the prediction. ``method`` is what of an estimator is
    called for the prediction, with ``arguments`` beside the rows.
    """

    kind: OutputKind
    classes: tuple[Any, ...] = ()
    probability: bool = False
    size: int | None = None
    columns: tuple[Column, ...] = ()
    version_column: str | None = None
    name: str = ""
    components: tuple[str, ...] = ()
    outputs: tuple[Output, ...] = ()
    scores: tuple[Output, ...] = ()
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
                raise ValueError(f"outputs and scores need names, each its own; these are {names}")

    @property
    def width(self) -> int:
        """How many numbers or labels the answer to a row has."""
        return len(self.outputs) if self.kind == "several" else self.size or 1

    @property
    def with_classes(self) -> tuple[Output, ...]:
        """The outputs that have classes, in the order of their probabilities: itself, or those of several."""
        return tuple(o for o in (self.outputs or (self,)) if o.kind == "class")

    def to_dict(self) -> dict[str, Any]:
        """The members that differ from their defaults, and the kind always, as plain JSON data."""
        data = {name: value for name, value in _compact(self).items() if value}
        data["columns"] = [_compact(c) for c in self.columns]
        for key in ("outputs", "scores"):
            if key in data:
                data[key] = [output.to_dict() for output in getattr(self, key)]
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Output:
        """Raises ValueError, TypeError or KeyError for data that is no output."""
        tuples = {key: tuple(data[key]) for key in ("classes", "components") if key in data}
        nested = {
            key: tuple(cls.from_dict(o) for o in data[key]) for key in ("outputs", "scores") if key in data
        }
        columns = tuple(_column(c) for c in data.get("columns", ()))
        return cls(**{**data, **tuples, **nested, "columns": columns})


@dataclass(frozen=True, slots=True)
class Signature:
    """The whole contract of a model.

    ``named`` is False when the model recorded no feature names: its columns are then called x0, x1 .. here, and a
    client's object of any names is taken in the text order of its keys. ``parameters`` are given once a request.
    ``bare`` replies consist of the prediction alone, without an envelope. ``coerce`` takes text for numbers and
    booleans where it is written as JSON writes them ("12", "1.5e3", "true"), for clients that have nothing but text.
    """

    columns: tuple[Column, ...]
    output: Output
    parameters: tuple[Column, ...] = ()
    named: bool = True
    bare: bool = False
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
        """Whether rows are float64 of shape (n_rows, n_columns); else they are dtype object."""
        return all(column.numeric for column in self.columns)

    @property
    def one_text(self) -> bool:
        """Whether a row is one text, which may then stand for the row."""
        one = self.columns[0]
        texts = all(isinstance(value, str) for value in one.values or ())
        return len(self.columns) == 1 and not one.numeric and texts

    def index(self, name: str) -> int | None:
        """The position of a column, or None when there is none of that name."""
        return self._index.get(name)

    def with_examples(self, row: list[Any], parameters: Mapping[str, Any]) -> Signature:
        """The same signature with an example value in every column and parameter."""
        columns = tuple(
            replace(c, example=c.natural(value)) for c, value in zip(self.columns, row, strict=True)
        )
        params = tuple(replace(p, example=parameters.get(p.name, p.default)) for p in self.parameters)
        return replace(self, columns=columns, parameters=params)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; ``from_dict`` gives the same signature back."""
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
        """Raises ValueError, TypeError or KeyError for data that is no signature."""
        return cls(
            columns=tuple(_column(c) for c in data["columns"]),
            parameters=tuple(_column(p) for p in data.get("parameters", ())),
            output=Output.from_dict(data["output"]),
            named=data.get("named", True),
            bare=data.get("bare", False),
            coerce=data.get("coerce", False),
        )


def _compact(value: Column | Output) -> dict[str, Any]:
    """The fields that differ from their defaults, and the name and type always."""
    always = {"name", "dtype", "kind"}
    said = ((f, getattr(value, f.name)) for f in fields(value))
    return {f.name: given for f, given in said if f.name in always or given != f.default}


def _column(data: Mapping[str, Any]) -> Column:
    tuples = {key: tuple(data[key]) for key in ("values", "observed") if data.get(key) is not None}
    return Column(**{**data, **tuples})
