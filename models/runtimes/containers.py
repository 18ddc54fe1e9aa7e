"""How rows become what an estimator takes: the container that it was fitted on, with the recorded dtypes.

The container of a version is found when it is published, by trying (``models.publishing.fitting``), and recorded in its manifest.
Whatever is built here belongs to the call alone, so a model may write into it; only ``array`` of float64 without copy
is the rows themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from models.errors import Fault, InputError, LoadError
from models.manifest import Manifest
from models.signature import Column

#: Rows of shape (n_rows, n_columns) to what the estimator takes.
Pack = Callable[[np.ndarray], Any]

#: Array dtype of a version whose missing values are None in an array of objects, and not NaN.
OBJECTS_WITH_NONE = "object[none]"


def packer(manifest: Manifest) -> Pack:
    """What makes the model's input of rows; it raises InputError for a cell that a column's dtype cannot hold.

    Raises LoadError for a container of another release.
    """
    container = container_of(manifest)
    if container not in CONTAINERS:
        raise LoadError(
            f"it is called with {container!r}, which this release does not know; publish it with this release"
        )
    return CONTAINERS[container](manifest)


def container_of(manifest: Manifest) -> str:
    """A version of an earlier release names none: it takes a DataFrame if it recorded one, else an array."""
    return manifest.container or ("frame" if manifest.frame else "array")


def takes_names(manifest: Manifest) -> bool:
    """Whether the model sees the names of its columns."""
    return container_of(manifest) in ("frame", "polars")


def _array(manifest: Manifest) -> Pack:
    """The rows as an array of the recorded dtype."""
    dtype = manifest.array_dtype
    if not manifest.signature.numeric:
        return _array_of_objects(manifest)
    if dtype in ("", "float64"):
        return lambda rows: rows
    kind = np.dtype(dtype)

    def pack(rows: np.ndarray) -> np.ndarray:
        numbers = rows.astype(np.float64)
        if kind.kind not in "iub":
            with np.errstate(
                over="ignore"
            ):  # what does not fit becomes infinite, as it does for the model itself
                return numbers.astype(kind)
        if not np.isfinite(numbers).all():
            return numbers  # an integer cannot be missing: this is what NumPy makes of such rows
        with np.errstate(invalid="ignore"):
            whole = numbers.astype(kind)
        wrong = np.argwhere(whole != numbers)
        if len(wrong):
            row, j = wrong[0].tolist()
            raise _unfit(manifest.signature.columns[j], dtype, row, numbers[row, j])
        return whole

    return pack


def _array_of_objects(manifest: Manifest) -> Pack:
    """Text beside numbers; JSON writes 5.0 as 5 too, so each number is made what its column holds."""
    missing: Any = None if manifest.array_dtype == OBJECTS_WITH_NONE else np.nan
    numbers = [(j, c) for j, c in enumerate(manifest.signature.columns) if c.dtype in ("int", "float")]

    def pack(rows: np.ndarray) -> np.ndarray:
        found = np.where(rows == np.array(None), missing, rows)
        for j, column in numbers:
            found[:, j] = [
                missing if _missing(cell) else column.natural(cell) for cell in rows[:, j].tolist()
            ]
        return found

    return pack


def _frame(manifest: Manifest) -> Pack:
    """A DataFrame, built by columns."""
    import pandas as pd  # only models that take one need it

    from models.column_types import column_builder

    columns = manifest.signature.columns
    builders = [
        column_builder(dtype, column.values or ())
        for column, (_, dtype) in zip(columns, manifest.frame, strict=True)
    ]
    # In a column of objects nothing else makes a number what it was: JSON writes 5.0 as 5 too.
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
    """A polars DataFrame, by way of Arrow."""
    import polars  # only models that take one need it

    frame = _frame(manifest)
    return lambda rows: polars.from_pandas(frame(rows))


def _texts(manifest: Manifest) -> Pack:
    """The one column as a list, as scikit-learn's vectorisers take texts."""
    return lambda rows: rows[:, 0].tolist()


def _series(manifest: Manifest) -> Pack:
    """The one column as a Series of its name."""
    import pandas as pd

    ((name, dtype),) = manifest.frame
    return lambda rows: pd.Series(rows[:, 0].tolist(), name=name, dtype=dtype)


def _dicts(manifest: Manifest) -> Pack:
    """A list of dicts."""
    columns = manifest.signature.columns
    return lambda rows: as_dicts(columns, rows)


def as_dicts(columns: Sequence[Column], rows: np.ndarray) -> list[dict[str, Any]]:
    """One dict for each of the rows, of shape (n_rows, n_columns), without the names of what is missing."""
    return [
        {c.name: c.natural(cell) for c, cell in zip(columns, row, strict=True) if not _missing(cell)}
        for row in rows.tolist()
    ]


def _sparse(manifest: Manifest) -> Pack:
    """A sparse matrix in rows (CSR)."""
    from scipy.sparse import csr_matrix

    dtype = np.dtype(manifest.array_dtype or "float64")
    return lambda rows: csr_matrix(np.asarray(rows, dtype=np.float64), dtype=dtype)


#: Name in the manifest -> what makes the packer.
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
    """The first cell that the column cannot be built of."""
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
