"""The containers of an estimator's input: rows become the one that it was fitted on, with the recorded
dtypes.

A version's container is found by trial when it is published (``models.publishing.fitting``), and recorded in
its manifest. Every container is built for one call, so a model may write to it; only ``array`` of float64
without a copy is the rows themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from models.errors import Fault, InputError, LoadError
from models.manifest import Manifest
from models.signature import Column

#: A function from rows of shape (n_rows, n_columns) to the estimator's input.
Pack = Callable[[np.ndarray], Any]

#: The array dtype of a version whose missing values are None, not NaN, in an array of objects.
OBJECTS_WITH_NONE = "object[none]"


def packer(manifest: Manifest) -> Pack:
    """Return the function from rows to the model's input.

    It raises InputError for a cell that a column's dtype cannot hold. Raises LoadError for a container that
    this release does not have.
    """
    container = container_of(manifest)
    if container not in CONTAINERS:
        raise LoadError(
            f"it is called with {container!r}, which this release does not know; publish it with this release"
        )
    return CONTAINERS[container](manifest)


def container_of(manifest: Manifest) -> str:
    """Return the name of the container.

    Versions of an earlier release record none: they take a DataFrame if they recorded its columns, else an
    array.
    """
    return manifest.container or ("frame" if manifest.frame else "array")


def takes_names(manifest: Manifest) -> bool:
    """Return whether the model sees the names of its columns."""
    return container_of(manifest) in ("frame", "polars")


def _array(manifest: Manifest) -> Pack:
    """Return a packer for an array of the recorded dtype."""
    dtype = manifest.array_dtype
    if not manifest.signature.numeric:
        return _array_of_objects(manifest)
    if dtype in ("", "float64"):
        return lambda rows: rows
    kind = np.dtype(dtype)

    def pack(rows: np.ndarray) -> np.ndarray:
        numbers = rows.astype(np.float64)
        if kind.kind not in "iub":
            # A value that does not fit becomes infinite, as it does in the model itself.
            with np.errstate(over="ignore"):
                return numbers.astype(kind)
        if not np.isfinite(numbers).all():
            return numbers  # integers cannot be missing, so NumPy makes floats of such rows
        with np.errstate(invalid="ignore"):
            whole = numbers.astype(kind)
        faults = np.argwhere(whole != numbers)
        if len(faults):
            row, j = faults[0].tolist()
            raise _unfit(manifest.signature.columns[j], dtype, row, numbers[row, j])
        return whole

    return pack


def _array_of_objects(manifest: Manifest) -> Pack:
    """Return a packer for text and numbers. JSON spells 5.0 as 5 too, so each number gets its column's
    type.
    """
    missing: Any = None if manifest.array_dtype == OBJECTS_WITH_NONE else np.nan
    numbers = [(j, c) for j, c in enumerate(manifest.signature.columns) if c.dtype in ("int", "float")]

    def pack(rows: np.ndarray) -> np.ndarray:
        cells = np.where(rows == np.array(None), missing, rows)
        for j, column in numbers:
            cells[:, j] = [
                missing if _missing(cell) else column.natural(cell) for cell in rows[:, j].tolist()
            ]
        return cells

    return pack


def _frame(manifest: Manifest) -> Pack:
    """Return a packer for a DataFrame, built column by column."""
    import pandas as pd  # only models of DataFrames need it

    from models.column_types import column_builder

    columns = manifest.signature.columns
    builders = [
        column_builder(dtype, column.values or ())
        for column, (_, dtype) in zip(columns, manifest.frame, strict=True)
    ]
    # A column of objects has no dtype that restores the type of a number, and JSON spells 5.0 as 5 too.
    numbers = {
        j
        for j, (_, dtype) in enumerate(manifest.frame)
        if dtype.startswith("object") and columns[j].dtype in ("int", "float")
    }
    names: Any = [name for name, _ in manifest.frame]
    if not manifest.signature.named:
        names = pd.RangeIndex(len(names))

    def pack(rows: np.ndarray) -> Any:
        series = {}
        for j, build in enumerate(builders):
            cells = rows[:, j].tolist()
            if j in numbers:
                cells = list(map(columns[j].natural, cells))
            try:
                series[j] = build(cells)
            except (ValueError, TypeError, OverflowError, KeyError) as error:
                raise _unfit_column(columns[j], manifest.frame[j][1], build, cells) from error
        frame = pd.DataFrame(series, copy=False)
        frame.columns = names
        return frame

    return pack


def _polars(manifest: Manifest) -> Pack:
    """Return a packer for a polars DataFrame, which is made by way of Arrow."""
    import polars  # only models of polars need it

    frame = _frame(manifest)
    return lambda rows: polars.from_pandas(frame(rows))


def _texts(manifest: Manifest) -> Pack:
    """Return a packer for the only column as a list, the input of scikit-learn's vectorisers."""
    return lambda rows: rows[:, 0].tolist()


def _series(manifest: Manifest) -> Pack:
    """Return a packer for the only column as a Series with its name."""
    import pandas as pd

    ((name, dtype),) = manifest.frame
    return lambda rows: pd.Series(rows[:, 0].tolist(), name=name, dtype=dtype)


def _dicts(manifest: Manifest) -> Pack:
    """Return a packer for a list of dicts."""
    columns = manifest.signature.columns
    return lambda rows: as_dicts(columns, rows)


def as_dicts(columns: Sequence[Column], rows: np.ndarray) -> list[dict[str, Any]]:
    """Return one dict for each row of shape (n_rows, n_columns), without the keys of missing values."""
    return [
        {c.name: c.natural(cell) for c, cell in zip(columns, row, strict=True) if not _missing(cell)}
        for row in rows.tolist()
    ]


def _sparse(manifest: Manifest) -> Pack:
    """Return a packer for a sparse matrix in rows (CSR)."""
    from scipy.sparse import csr_matrix

    dtype = np.dtype(manifest.array_dtype or "float64")
    return lambda rows: csr_matrix(np.asarray(rows, dtype=np.float64), dtype=dtype)


#: Name in the manifest -> the function that makes its packer.
CONTAINERS: dict[str, Callable[[Manifest], Pack]] = {
    "array": _array,
    "frame": _frame,
    "polars": _polars,
    "texts": _texts,
    "series": _series,
    "dicts": _dicts,
    "sparse": _sparse,
}


def _missing(cell: Any) -> bool:
    return cell is None or cell != cell


def _unfit_column(
    column: Column, dtype: str, build: Callable[[list[Any]], Any], cells: list[Any]
) -> InputError:
    """Return the error for the first cell that does not fit the column."""
    for i, cell in enumerate(cells):
        try:
            build([cell])
        except (ValueError, TypeError, OverflowError, KeyError):
            return _unfit(column, dtype, i, cell)
    return _unfit(column, dtype, 0, cells[0])


def _unfit(column: Column, dtype: str, row: int, cell: Any) -> InputError:
    return InputError(
        [Fault((row, column.name), f"does not fit {dtype}", "a value that the column can hold", cell)]
    )
