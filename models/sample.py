"""Which signature a fitted estimator and a sample of its inputs have."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.answers import infer_output
from models.errors import PublishError
from models.reference import observed_range
from models.runtimes.estimator_parts import estimator_parts
from models.signature import Column, Dtype, Signature

#: pandas dtype without its size -> column dtype. Any other dtype is refused with the list of these.
DTYPES: dict[str, Dtype] = {
    "float": "float",
    "int": "int",
    "uint": "int",
    "bool": "bool",
    "boolean": "bool",
    "category": "category",
    "datetime": "date",
    "object": "string",
    "str": "string",
    "string": "string",
}


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Rows as the server carries them, and how they looked to the estimator.

    rows : ndarray of shape (n_rows, n_columns), float64 if every column is numeric, else dtype object.
    names : the column names, or None when neither the sample nor the estimator has any.
    frame : (name, pandas dtype) of each column of a DataFrame sample, or empty for an array.
    X : the sample as the estimator takes it.
    """

    rows: np.ndarray
    names: tuple[str, ...] | None
    frame: tuple[tuple[str, str], ...]
    columns: tuple[Column, ...]
    X: Any

    @classmethod
    def of(cls, model: Any, X: Any) -> Sample:
        """Read a DataFrame, an array or a list of rows; raises PublishError when it does not fit the estimator."""
        fitted = getattr(model, "feature_names_in_", None)
        names = None if fitted is None else tuple(map(str, fitted))
        if not hasattr(X, "dtypes") or not hasattr(X, "columns"):
            X = _array(X)
            _check_width(model, X.shape[1], names)
            if names is None:
                return cls._of_array(model, X)
            import pandas as pd  # the estimator was fitted on a DataFrame, so pandas is there

            X = pd.DataFrame(X, columns=list(names)).infer_objects()
        if names is None:
            _check_width(model, X.shape[1], names)
            if _takes_arrays(model, X):
                return cls._of_array(model, _array(X.to_numpy()))
            names = tuple(map(str, X.columns))
        return cls._of_frame(model, _select(X, names, "the model was fitted on"))

    @classmethod
    def _of_array(cls, model: Any, X: np.ndarray) -> Sample:
        width = len(str(X.shape[1] - 1))
        names = [f"x{j:0{width}d}" for j in range(X.shape[1])]
        numeric = X.dtype.kind in "fiub"
        kind = DTYPES["float" if X.dtype.kind == "f" else "int" if X.dtype.kind in "iu" else "bool"]
        strict = _strict_categories(model, names)
        cells = [X[:, j].tolist() for j in range(X.shape[1])]
        columns = tuple(
            _column(name, kind if numeric else _python_dtype(name, cells[j]), cells[j], strict.get(name))
            for j, name in enumerate(names)
        )
        rows = X.astype(np.float64) if all(c.numeric for c in columns) else X.astype(object)
        return cls(_finite(rows), None, (), columns, X)

    @classmethod
    def _of_frame(cls, model: Any, X: Any) -> Sample:
        names = tuple(map(str, X.columns))
        strict = _strict_categories(model, names)
        columns, cells, frame = [], [], []
        for name in names:
            series = X[name]
            pandas_dtype = str(series.dtype)
            dtype = DTYPES.get(re.split(r"[^a-z]", pandas_dtype.lower())[0])
            if dtype is None:
                raise PublishError(
                    f"column {name!r} has dtype {pandas_dtype}; use one of {', '.join(DTYPES)}"
                )
            missing = (
                series.isna().tolist()
            )  # pandas has several values for it, one of which refuses comparison
            if dtype == "date":
                series = series.dt.strftime("%Y-%m-%d")
            values = [None if m else v for v, m in zip(series.astype(object).tolist(), missing, strict=True)]
            allowed = series.cat.categories.tolist() if dtype == "category" else strict.get(name)
            if pandas_dtype == "object":
                dtype = _python_dtype(name, values)
            columns.append(_column(name, dtype, values, allowed))
            cells.append(values)
            frame.append((name, pandas_dtype))
        rows = np.empty((len(X), len(names)), dtype=object)
        for j, values in enumerate(cells):
            rows[:, j] = values
        if all(c.numeric for c in columns):
            rows = rows.astype(np.float64)
        return cls(_finite(rows), names, tuple(frame), tuple(columns), X)


def infer_signature(model: Any, sample: Sample) -> Signature:
    """The signature of a scikit-learn estimator; raises PublishError when its output is none that can be declared."""
    return Signature(
        columns=sample.columns, output=infer_output(model, sample.X), named=sample.names is not None
    )


def declared_rows(signature: Signature, X: Any) -> np.ndarray:
    """Sample rows for a model that declares its signature: shape (n_rows, n_columns), float64 or object."""
    if hasattr(X, "columns"):
        X = _select(X, [c.name for c in signature.columns], "the signature names")
        X = X.astype(object).where(X.notna(), None).to_numpy()
    rows = _array(X)
    if rows.shape[1] != len(signature.columns):
        raise PublishError(f"the sample has {rows.shape[1]} columns, the signature {len(signature.columns)}")
    return _finite(rows.astype(np.float64 if signature.numeric else object))


def _column(name: str, dtype: Dtype, cells: list[Any], allowed: Sequence[Any] | None) -> Column:
    nullable = any(c is None or c != c for c in cells)
    values = None if allowed is None else tuple(v for v in allowed if v is not None and v == v)
    if values is not None and not {c for c in cells if c is not None and c == c} <= set(values):
        values = None  # the encoder sees something else than this column
    if values is not None and dtype == "string":
        dtype = "category"
    # A single row is an example; it says nothing about the range of the data.
    observed = observed_range(cells) if dtype in ("float", "int") and len(cells) > 1 else None
    return Column(name, dtype, nullable=nullable, values=values, observed=observed)


def _python_dtype(name: str, cells: list[Any]) -> Dtype:
    """The dtype of a column that NumPy or pandas holds as objects."""
    kinds = {type(c) for c in cells if c is not None and c == c}
    for dtype, types in (("bool", {bool}), ("int", {int}), ("float", {int, float}), ("string", {str})):
        if kinds and kinds <= types:
            return dtype  # type: ignore[return-value]
    found = ", ".join(sorted(k.__name__ for k in kinds)) or "nothing but missing values"
    raise PublishError(f"column {name!r} holds {found}; give it one type: numbers, booleans or text")


def _strict_categories(model: Any, names: Sequence[str]) -> dict[str, list[Any]]:
    """Column -> the only values that an encoder inside the model takes without raising."""
    found: dict[str, list[Any]] = {}
    for part in estimator_parts(model):
        own = [str(n) for n in getattr(part, "feature_names_in_", ())] or list(names)
        found.update(_encoder_categories(part, own))
        # A ColumnTransformer selects by name, position, slice, mask or callable; this has it as positions.
        for key, positions in getattr(part, "_transformer_to_input_indices", {}).items():
            selected = [own[i] for i in positions if i < len(own)]
            for inner in estimator_parts(part.named_transformers_.get(key)):
                found.update(_encoder_categories(inner, selected))
    return found


def _encoder_categories(part: Any, names: Sequence[str]) -> dict[str, list[Any]]:
    categories = getattr(part, "categories_", None)
    if (
        categories is None
        or getattr(part, "handle_unknown", None) != "error"
        or len(categories) != len(names)
    ):
        return {}
    return {name: values.tolist() for name, values in zip(names, categories, strict=True)}


def _array(X: Any) -> np.ndarray:
    array = X if isinstance(X, np.ndarray) else _from_lists(X)
    if array.ndim != 2 or not array.size:
        raise PublishError(
            f"the sample must be rows of values, of shape (n_rows, n_columns); it is {array.shape}"
        )
    return array


def _takes_arrays(model: Any, X: Any) -> bool:
    """False for a model that uses a DataFrame's names without having recorded them, as users' own classes do."""
    try:
        model.predict(X.to_numpy()[:2])
    except Exception:  # whatever foreign code raises when it finds no names
        return False
    return True


def _select(X: Any, names: Sequence[str], why: str) -> Any:
    """The named columns of a DataFrame, in this order."""
    missing = [name for name in names if name not in X.columns]
    if missing:
        raise PublishError(f"the sample lacks columns that {why}: {', '.join(missing)}")
    if not len(X):
        raise PublishError("the sample has no rows")
    return X[list(names)]


def _finite(rows: np.ndarray) -> np.ndarray:
    """The rows, of shape (n_rows, n_columns), if a client could send them as JSON."""
    numeric = rows.dtype == np.float64
    if np.isinf(rows).any() if numeric else any(isinstance(c, float) and math.isinf(c) for c in rows.flat):
        raise PublishError("the sample holds Infinity; JSON has no such number, so no client could send it")
    return rows


def _from_lists(X: Any) -> np.ndarray:
    """Lists of rows: numbers stay numbers, and anything else keeps its Python type instead of becoming text."""
    rows = [list(row) for row in X]
    kinds = {type(value) for row in rows for value in row}
    return np.array(rows) if kinds <= {int, float} or kinds == {bool} else np.array(rows, dtype=object)


def _check_width(model: Any, width: int, names: tuple[str, ...] | None) -> None:
    expected = len(names) if names is not None else getattr(model, "n_features_in_", width)
    if width != expected:
        raise PublishError(f"the sample has {width} columns, the model was fitted on {expected}")
