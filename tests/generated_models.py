"""Random pipelines of scikit-learn's own parts, fitted on random frames: names, dtypes, missing values and text.

A case is made from one integer, so that hypothesis can shrink and repeat it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

ROWS = 48

NAMES = ("amount", "Größe", "is new", "a.b", "x1", "features", "x10", "inputs", "class", "0")
INTEGERS = ("int64", "int8", "uint16", "Int64", "int32[pyarrow]", "UInt8")
FLOATS = ("float64", "float32", "Float64", "double[pyarrow]")
TEXTS = ("object", "str", "string", "category", "string[pyarrow]")
WORDS = ("good", "bad", "film", "book", "10", "Zürich")

REGRESSORS: tuple[Callable[[], Any], ...] = (
    LinearRegression,
    Ridge,
    lambda: DecisionTreeRegressor(max_depth=4, random_state=0),
    lambda: RandomForestRegressor(4, random_state=0, n_jobs=2),
    lambda: KNeighborsRegressor(3),
)
CLASSIFIERS: tuple[Callable[[], Any], ...] = (
    lambda: LogisticRegression(max_iter=2000),
    RidgeClassifier,
    lambda: DecisionTreeClassifier(max_depth=4, random_state=0),
    lambda: RandomForestClassifier(4, random_state=0),
    lambda: HistGradientBoostingClassifier(max_iter=3),
    lambda: KNeighborsClassifier(3),
    lambda: SVC(),
)


@dataclass
class Case:
    """``sample`` : what is published with; ``fit_on`` : what the estimator was fitted on; ``asked`` : rows of a client."""

    model: Any
    sample: Any
    y: np.ndarray
    table: pd.DataFrame

    def bodies(self, rows: list[int]) -> list[dict[str, Any]]:
        """The rows as clients send them: by name, or as lists if there are no names."""
        named = not isinstance(self.sample, np.ndarray)
        found = []
        for i in rows:
            cells = {name: _json(self.table[name], i) for name in self.table}
            found.append(cells if named else [float(cell) for cell in cells.values()])
        return found

    def expected(self, rows: list[int], method: str = "predict") -> Any:
        """Return the estimator's answer to rows of the sample, in the container of the sample."""
        if isinstance(self.sample, pd.DataFrame):
            X: Any = self.sample.iloc[rows]
        else:
            X = self.sample[rows]
        return np.asarray(getattr(self.model, method)(X))


def make_case(seed: int) -> Case:
    """Return the case of a seed."""
    rng = np.random.default_rng(seed)
    table = _table(rng)
    container = rng.choice(["frame", "frame", "frame", "polars", "array"])
    numeric = all(pd.api.types.is_numeric_dtype(table[name].dtype) for name in table)
    fit_on: Any = table
    if container == "array" and numeric and not table.isna().any(axis=None):
        fit_on = table.to_numpy(dtype=np.float64)
    if container == "polars" and not any(isinstance(t, pd.CategoricalDtype) for t in table.dtypes):
        fit_on = pl.from_pandas(table)
    y, final = _target(rng)
    model = make_pipeline(_preparation(rng, table, by_name=not isinstance(fit_on, np.ndarray)), final)
    return Case(model.fit(fit_on, y), fit_on, y, table)


def _table(rng: np.random.Generator) -> pd.DataFrame:
    names = rng.permutation(NAMES)[: rng.integers(1, 6)]
    columns = {}
    for name in names.tolist():
        kind = rng.choice(["float", "float", "int", "int", "bool", "text", "words", "day"])
        missing = rng.random(ROWS) < (0.15 if rng.random() < 0.3 else 0.0)
        columns[name] = _column(rng, str(kind), missing)
    return pd.DataFrame(columns)


def _column(rng: np.random.Generator, kind: str, missing: np.ndarray) -> Any:
    if kind == "float":
        cells = rng.normal(size=ROWS) * 10.0 ** rng.integers(-3, 4)
        return pd.Series(np.where(missing, np.nan, cells)).astype(str(rng.choice(FLOATS)))
    if kind == "int":
        dtype = str(rng.choice(INTEGERS))
        cells = pd.Series(rng.integers(0, int(rng.choice([2, 5, 100])), ROWS))
        return (cells.mask(missing) if dtype[0] in "IU" or "[" in dtype else cells).astype(dtype)
    if kind == "bool":
        return pd.Series(rng.random(ROWS) < 0.5)
    if kind == "day":
        return pd.Series(pd.date_range("2024-02-27", periods=ROWS, freq=str(rng.choice(["D", "37min"]))))
    some = [str(word) for word in rng.choice(WORDS, ROWS)]
    if kind == "words":
        return pd.Series([f"{word} {WORDS[i % 6]} {i % 5}" for i, word in enumerate(some)], dtype="str")
    dtype = str(rng.choice(TEXTS))
    if dtype.startswith("string"):
        missing = np.zeros(ROWS, dtype=bool)  # scikit-learn's encoders do not take pd.NA
    return pd.Series([None if gone else word for word, gone in zip(some, missing, strict=True)]).astype(dtype)


def _preparation(rng: np.random.Generator, table: pd.DataFrame, *, by_name: bool) -> ColumnTransformer:
    parts = []
    for j, name in enumerate(table):
        column = table[name]
        dtype = column.dtype
        selected: Any = name if by_name else j
        if pd.api.types.is_datetime64_any_dtype(dtype):
            part: Any = FunctionTransformer(day_and_hour)
        elif pd.api.types.is_bool_dtype(dtype):
            part = "passthrough"
        elif pd.api.types.is_numeric_dtype(dtype):
            part = _numbers(rng, column)
        elif column.astype(str).str.contains(" ").any():
            vectoriser = (CountVectorizer, TfidfVectorizer)[rng.integers(2)](token_pattern=r"\S+")
            part = make_pipeline(vectoriser, TruncatedSVD(2, random_state=0))
            parts.append((f"p{j}", part, selected))
            continue
        else:
            part = _labels(rng, column)
        parts.append((f"p{j}", part, [selected]))
    return ColumnTransformer(parts, sparse_threshold=0.0)


def _numbers(rng: np.random.Generator, column: pd.Series) -> Any:
    scaler = (StandardScaler, MinMaxScaler, MaxAbsScaler)[rng.integers(3)]()
    whole = pd.api.types.is_integer_dtype(column.dtype)
    if whole and rng.random() < 0.4:
        scaler = (OneHotEncoder(handle_unknown="ignore"), make_pipeline(FunctionTransformer(as_text), OneHotEncoder(handle_unknown="ignore")))[rng.integers(2)]  # fmt: skip
        return scaler if not column.isna().any() else make_pipeline(SimpleImputer(strategy="median"), OneHotEncoder(handle_unknown="ignore"))  # fmt: skip
    if not whole and rng.random() < 0.2:
        scaler = KBinsDiscretizer(3, encode="ordinal", quantile_method="averaged_inverted_cdf")
    return make_pipeline(SimpleImputer(strategy="median"), scaler) if column.isna().any() else scaler


def _labels(rng: np.random.Generator, column: pd.Series) -> Any:
    if rng.random() < 0.3 and not column.isna().any():
        return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return OneHotEncoder(handle_unknown=str(rng.choice(["ignore", "error"])))


def _target(rng: np.random.Generator) -> tuple[np.ndarray, Any]:
    if rng.random() < 0.4:
        return rng.normal(size=ROWS), REGRESSORS[rng.integers(len(REGRESSORS))]()
    labels = (np.array([0, 1]), np.array([3, 7, 9]), np.array(["no", "yes"]), np.array([False, True]))
    chosen = labels[rng.integers(len(labels))]
    y = chosen[np.r_[np.arange(len(chosen)), rng.integers(0, len(chosen), ROWS - len(chosen))]]
    return y, CLASSIFIERS[rng.integers(len(CLASSIFIERS))]()


def day_and_hour(X: Any) -> Any:
    """Return a column of dates as two columns of numbers."""
    moments = pd.Series(pd.to_datetime(np.asarray(X)[:, 0]))
    return np.c_[moments.dt.dayofweek, moments.dt.hour].astype(float)


def as_text(X: Any) -> Any:
    """Return numbers as text, where 1 and 1.0 differ."""
    return np.asarray(X).astype(str)


def _json(column: pd.Series, row: int) -> Any:
    cell = column.iloc[row]
    if cell is None or cell is pd.NA or cell is pd.NaT or cell != cell:
        return None
    if isinstance(cell, pd.Timestamp):
        whole_days = (column == column.dt.normalize()).all()
        return str(cell.date()) if whole_days else cell.isoformat()
    return cell.item() if isinstance(cell, np.generic) else cell
