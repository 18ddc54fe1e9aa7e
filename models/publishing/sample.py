"""The sample of a publisher: read from any container, as rows of the server and as the model had them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from models.column_types import ColumnType, read_column
from models.errors import PublishError
from models.publishing.column_inference import infer_columns
from models.publishing.recorded import fitted_width, listed, recorded_names, select
from models.runtimes.containers import OBJECTS_WITH_NONE, as_dicts
from models.signature import LARGEST, Column, Output, Signature

#: The name of the only column of a model of texts if the sample does not name it.
TEXT = "text"


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Rows as the server carries them, and the form in which the estimator had them."""

    #: ndarray of shape (n_rows, n_columns), float64 if every column is numeric, else dtype object.
    rows: np.ndarray
    #: The columns of a request.
    columns: tuple[Column, ...]
    #: False if neither the sample nor the estimator names the columns.
    named: bool
    #: (name, pandas dtype) of each column, as in ``column_types``; empty for an array.
    frame: tuple[tuple[str, str], ...]
    #: The dtype of an array; empty for a DataFrame.
    array_dtype: str
    #: (container, sample) in the order in which the estimator is called with them, the given one first.
    given: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, model: Any, X: Any) -> Sample:
        """Read a frame of pandas, polars or Arrow, an array, a sparse matrix, texts, dicts or lists of rows.

        Raises PublishError for a sample that does not fit the estimator.
        """
        names = recorded_names(model)
        container, X = _recognised(X)
        if container in ("texts", "series"):
            return _of_texts(container, X)
        if container == "dicts":
            table = pd.DataFrame(X).astype(object)
            if names is not None:
                table = select(table.infer_objects(), names, "the model was fitted on")
            return _of_frame(model, table, ("dicts", X))
        if container in ("array", "sparse"):
            dense = X.toarray() if container == "sparse" else X
            _check_width(model, dense.shape[1], names)
            if names is None:
                return _of_array(model, dense, (container, X))
            table = pd.DataFrame(dense, columns=list(names))
            if container == "sparse" or dense.dtype.kind in "fiub":
                return _of_frame(model, table, ("frame", table), (container, X))
            table = table.infer_objects()
            return _of_frame(model, table, ("frame", table))
        if names is not None:
            X = select(X, names, "the model was fitted on")
        else:
            _check_width(model, X.shape[1], names, X)
        table = _unique_names(X if container == "frame" else _of_polars(X))
        if len(table) == 0:
            raise PublishError("the sample has no rows")
        return _of_frame(model, table, (container, X))

    def signature(self, output: Output) -> Signature:
        """Return the signature of a model that takes these columns."""
        return Signature(columns=self.columns, output=output, named=self.named)


def declared_rows(signature: Signature, X: Any) -> np.ndarray:
    """Return the sample of a model that declares its signature: shape (n_rows, n_columns), float64 or
    object.
    """
    if hasattr(X, "columns"):
        X = select(X, [c.name for c in signature.columns], "the signature names")
        X = X.astype(object).where(X.notna(), None).to_numpy()
    rows = X if isinstance(X, np.ndarray) else _from_lists(X)
    _check_shape(rows)
    if rows.shape[1] != len(signature.columns):
        raise PublishError(f"the sample has {rows.shape[1]} columns, the signature {len(signature.columns)}")
    return _finite(rows.astype(np.float64 if signature.numeric else object))


def target_hint(X: Any, classes: Sequence[Any]) -> str:
    """Return a question about the column of a DataFrame that may be the forgotten target; empty without
    one.
    """
    if hasattr(X, "columns") and len(classes) > 1:
        for name in X.columns:
            try:
                if set(X[name].tolist()) == set(classes):
                    return f"; column {name!r} has the same values as the model's classes: is it the target?"
            except TypeError:  # values that cannot be in a set are not labels
                continue
    return ""


# -- containers


def _recognised(X: Any) -> tuple[str, Any]:
    """Return the name of the sample's container, and the sample in its plainest form."""
    package = type(X).__module__.split(".")[0]
    if package == "polars":
        X = X.collect() if hasattr(X, "collect") else X
        return ("polars", X) if hasattr(X, "columns") else ("texts", X.to_list())
    if package == "pyarrow":
        return "frame", X.to_pandas()
    if isinstance(X, pd.DataFrame):
        return "frame", X
    if isinstance(X, pd.Series):
        return _one_column(X)
    if hasattr(X, "tocsr"):
        return "sparse", X.tocsr()
    if isinstance(X, np.ndarray):
        if X.dtype.names:
            return "frame", pd.DataFrame(X)
        if X.ndim == 1 and X.dtype.kind in "OUT" and len(X) and all(isinstance(t, str) for t in X):
            return "texts", [str(t) for t in X]
        return "array", _check_shape(X.astype(object) if X.dtype.kind in "UT" else X)
    if isinstance(X, dict):
        return "frame", pd.DataFrame(X)
    X = list(X)
    if X and all(isinstance(row, dict) for row in X):
        return "dicts", X
    if X and all(isinstance(row, str) for row in X):
        return "texts", X
    return "array", _check_shape(_from_lists(X))


def _of_polars(X: Any) -> pd.DataFrame:
    """Return a frame of NumPy's dtypes.

    Integers and booleans with missing values have Arrow's dtypes, because NumPy's would change their type.
    """
    table = X.to_pandas()
    with_missing = [name for name, dtype in X.schema.items() if dtype.is_integer() or str(dtype) == "Boolean"]
    with_missing = [name for name in with_missing if X[name].null_count()]
    if with_missing:
        table[with_missing] = X.select(with_missing).to_pandas(use_pyarrow_extension_array=True)
    return table


def _one_column(X: pd.Series) -> tuple[str, Any]:
    if len(X) and all(isinstance(t, str) for t in X):
        return "series", X
    raise PublishError(
        "the sample is a single Series; give a DataFrame of the model's columns, df[['a', 'b']]"
    )


def _of_texts(container: str, X: Any) -> Sample:
    name = str(X.name) if container == "series" and X.name is not None else TEXT
    texts = list(X)
    rows = np.array(texts, dtype=object).reshape(-1, 1)
    given = (("series", X), ("texts", texts)) if container == "series" else (("texts", texts),)
    table = pd.DataFrame({name: pd.Series(texts, dtype="str")})
    return Sample(rows, (Column(name, "string"),), True, ((name, "str"),), "", (*given, ("frame", table)))


def _of_array(model: Any, X: np.ndarray, given: tuple[str, Any]) -> Sample:
    width = len(str(X.shape[1] - 1))
    names = [f"x{j:0{width}d}" for j in range(X.shape[1])]
    series = (pd.Series(X[:, j], dtype=X.dtype) for j in range(X.shape[1]))
    column_types = [read_column(name, column) for name, column in zip(names, series, strict=True)]
    columns = infer_columns(model, names, column_types)
    dtype = str(X.dtype)
    if X.dtype == object and all(c.pandas_dtype != "object" for c in column_types if None in c.cells):
        dtype = OBJECTS_WITH_NONE
    rows = _matrix(columns, column_types)
    if len(names) == 1 and columns[0].dtype == "string":
        texts = [("texts", rows[:, 0].tolist())]
        return Sample(rows, (replace(columns[0], name=TEXT),), True, (), dtype, (given, *texts))
    return Sample(rows, columns, False, (), dtype, (given,))


def _of_frame(model: Any, table: pd.DataFrame, *given: tuple[str, Any]) -> Sample:
    named = not isinstance(table.columns, pd.RangeIndex)
    width = len(str(table.shape[1] - 1))
    names = [str(n) for n in table.columns] if named else [f"x{j:0{width}d}" for j in range(table.shape[1])]
    column_types = [read_column(name, table.iloc[:, j]) for j, name in enumerate(names)]
    columns = infer_columns(model, names, column_types)
    forms = list(given)
    if given[0][0] == "dicts":
        # A key that is missing in some dicts may be missing in a request too.
        columns = tuple(replace(c, optional=c.nullable) for c in columns)
        forms.append(("frame", table))
    rows = _matrix(columns, column_types)
    if len(names) == 1 and columns[0].dtype in ("string", "category"):
        forms.append(("texts", rows[:, 0].tolist()))
    if named and given[0][0] in ("frame", "polars"):
        forms.append(("dicts", Records(columns, rows)))
    frame = tuple((name, c.pandas_dtype) for name, c in zip(names, column_types, strict=True))
    return Sample(rows, columns, named, frame, "", tuple(forms))


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """Rows of a table as a list of dicts, built on demand because few models take them."""

    columns: tuple[Column, ...]
    rows: np.ndarray

    def to_list(self) -> list[dict[str, Any]]:
        """Return the dicts as a server builds them."""
        return as_dicts(self.columns, self.rows)


def _matrix(columns: Sequence[Column], column_types: Sequence[ColumnType]) -> np.ndarray:
    """Return the rows, of shape (n_rows, n_columns); raises PublishError for values that JSON cannot
    carry.
    """
    numeric = all(c.numeric for c in columns)
    rows = np.empty((len(column_types[0].cells), len(column_types)), dtype=np.float64 if numeric else object)
    for j, column in enumerate(column_types):
        rows[:, j] = [np.nan if c is None else c for c in column.cells] if numeric else column.cells
    return _finite(rows)


# -- checks


def _check_shape(array: np.ndarray) -> np.ndarray:
    if array.ndim != 2 or not array.size:
        raise PublishError(
            f"the sample must be rows of values, of shape (n_rows, n_columns); it is {array.shape}"
        )
    return array


def _check_width(model: Any, width: int, names: tuple[str, ...] | None, X: Any = None) -> None:
    expected = len(names) if names is not None else fitted_width(model) or width
    if width != expected:
        named = "" if X is None else f" ({listed(list(map(str, X.columns)))})"
        hint = target_hint(X, np.ravel(getattr(model, "classes_", ())).tolist())
        raise PublishError(f"the sample has {width} columns{named}, the model was fitted on {expected}{hint}")


def _unique_names(table: pd.DataFrame) -> pd.DataFrame:
    names = [str(name) for name in table.columns]
    if len(set(names)) < len(names):
        repeated = sorted({name for name in names if names.count(name) > 1}) if len(names) < 1000 else []
        raise PublishError(f"the sample has several columns of one name: {listed(repeated)}; rename them")
    return table


def _finite(rows: np.ndarray) -> np.ndarray:
    numeric = rows.dtype == np.float64
    if np.isinf(rows).any() if numeric else any(isinstance(c, float) and math.isinf(c) for c in rows.flat):
        raise PublishError(
            "the sample contains Infinity; JSON has no such number, so no client could send it"
        )
    largest = np.nanmax(np.abs(rows)) if numeric and not np.isnan(rows).all() else 0.0
    if largest > LARGEST["float"]:
        raise PublishError(
            f"the sample contains {largest:g}; a request takes what float32 can hold, up to "
            f"{LARGEST['float']:g}; scale the column"
        )
    return rows


def _from_lists(X: Any) -> np.ndarray:
    """Return lists of rows as an array. Numbers stay numbers, and everything else keeps its Python type."""
    rows = [list(row) for row in X]
    kinds = {type(value) for row in rows for value in row}
    return np.array(rows) if kinds <= {int, float} or kinds == {bool} else np.array(rows, dtype=object)
