"""How CSV files become rows: columns that keep their text, missing cells, columns of outcomes."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from models.signature import MEASURED, Column, Signature

if TYPE_CHECKING:
    import pandas as pd


def read_bytes(file: str) -> bytes:
    """Return the bytes of a file, or of standard input for ``-``. Raises ClickException."""
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise click.ClickException(f"{file}: {(error.strerror or 'cannot be read').lower()}") from error


def read_declared_table(file: str, signature: Signature, text: Sequence[str] = ()) -> pd.DataFrame:
    """Read a CSV file whose text columns keep their text ("007", "NA"). Only an empty cell is missing."""
    columns = [
        c for c in signature.columns if not c.numeric and all(isinstance(v, str) for v in c.values or ())
    ]
    return read_table(file, [*text, *(c.name for c in columns)], keep_default_na=False, na_values=[""])


def read_table(file: str, text: Sequence[str], **options: Any) -> pd.DataFrame:
    import pandas as pd  # only CSV files need it

    data = io.BytesIO(read_bytes(file))
    try:
        with warnings.catch_warnings():
            # With index_col=False, pandas only warns of values without a name in the header.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(
                data, dtype=dict.fromkeys(text, str), index_col=False, low_memory=False, **options
            )
    except (ValueError, pd.errors.ParserWarning) as error:  # pandas' errors and wrong UTF-8 are ValueErrors
        raise click.ClickException(f"{file} cannot be read as CSV: {' '.join(str(error).split())}") from error
    if table.empty:
        raise click.ClickException(f"{file} has no rows below the line that names its columns")
    return table


def rows_of_table(
    signature: Signature, table: pd.DataFrame, file: str
) -> list[dict[str, Any]] | list[list[Any]]:
    """Return rows as requests have them: by name, or in the table's order for a model without names."""
    columns = signature.columns
    if signature.named:
        check_columns(table, [c.name for c in columns if c.required], file)
        columns = tuple(c for c in columns if c.name in table.columns)
        table = table[[c.name for c in columns]]
    elif len(table.columns) != len(columns):
        raise click.ClickException(f"{file} has {len(table.columns)} columns; the model takes {len(columns)}")
    cells = (
        [_cell(value, c) for value in table[name].tolist()] for name, c in zip(table, columns, strict=True)
    )
    rows = [list(row) for row in zip(*cells, strict=True)]
    return [dict(zip(table, row, strict=True)) for row in rows] if signature.named else rows


def _cell(value: Any, column: Column) -> Any:
    """Return the value of a cell, None if it is missing.

    A word in a column of numbers has turned the numbers into text, which this undoes.
    """
    if isinstance(value, str) and column.dtype in MEASURED:
        try:
            return float(value)
        except ValueError:
            return value
    return None if value != value else value


def check_columns(table: pd.DataFrame, names: Sequence[str], file: str) -> None:
    missing = [name for name in names if name not in table.columns]
    if missing:
        has = ", ".join(table.columns[:20])
        raise click.ClickException(f"{file} lacks {', '.join(missing[:20])}; it has {has}")


def outcome_column(table: pd.DataFrame, target: str, file: str) -> np.ndarray:
    check_columns(table, [target], file)
    missing = int(table[target].isna().sum())
    if missing:
        raise click.ClickException(f"{file}: {missing} of {len(table)} rows have no {target}; leave them out")
    return np.array(table[target].tolist())


def like(cell: Any, column: pd.Series) -> Any:
    """Return 5 for 5.0 in a column of integers, so that one example does not make them measured numbers."""
    return int(cell) if column.dtype.kind in "iu" and isinstance(cell, float) and cell.is_integer() else cell
