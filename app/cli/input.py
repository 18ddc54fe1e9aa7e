"""How files named on the command line become requests and samples: JSON bodies in any accepted form, and CSV tables."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from models.errors import Fault, InputError
from models.signature import MEASURED, Column, Signature
from schemas.cells import shown
from schemas.json_body import MalformedBody, parse
from schemas.matrix import Rows, unknown_name
from schemas.predict import PredictSchemas

if TYPE_CHECKING:
    import pandas as pd

#: The sample is the publisher's own, so it has no limit on its rows.
ANY_NUMBER = 2**31


@dataclass(frozen=True, slots=True, eq=False)
class GivenSample:
    """X : array, DataFrame or list of rows; y : the outcomes, of shape (n_rows,), or None."""

    X: Any
    y: Any = None
    parameters: Mapping[str, Any] = field(default_factory=dict)


def read_bytes(file: str) -> bytes:
    """The file's bytes, those of standard input for ``-``; raises ClickException."""
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise click.ClickException(f"{file}: {(error.strerror or 'cannot be read').lower()}") from error


def read_request(file: str, schemas: PredictSchemas) -> tuple[np.ndarray, dict[str, Any], bool]:
    """Rows of shape (n_rows, n_columns), parameters, and whether the file asks for one row and not for a batch.

    A CSV file is a batch. Raises InputError and ClickException.
    """
    if file.lower().endswith(".csv"):
        signature = schemas.signature
        body: Any = {"inputs": _rows_of_table(signature, _read_declared_table(file, signature), file)}
    else:
        body = _read_body(file)
    return read_body(body, schemas)


def read_body(body: Any, schemas: PredictSchemas) -> tuple[np.ndarray, dict[str, Any], bool]:
    """As ``read_request``, for the JSON value of a request."""
    single = not _is_batch(body)
    return *(schemas.read_single(body) if single else schemas.read_batch(body)), single


def read_sample(model: Any, example: str | None, data: str | None, target: str | None) -> GivenSample:
    """The sample that a model is published with: the example's rows, and then those of the data.

    model : the unpickled model, which says what its columns are called; ``target`` is the data's column of outcomes.
    At least one of ``example`` and ``data`` is a file; ``target`` comes with ``data`` alone.
    Raises InputError when the example does not fit the model, ClickException for files that cannot be used.
    """
    signature = getattr(model, "signature", None)
    declared = signature if isinstance(signature, Signature) else None
    table = y = None
    if data is not None:
        # Labels that are text must not be read as numbers, or no prediction would ever equal them.
        labels = getattr(getattr(model, "classes_", None), "dtype", np.dtype(float))
        text = [target] if target is not None and labels.kind in "OU" else []
        table = _read_declared_table(data, declared, text) if declared else _read_table(data, text)
        if target is not None:
            y = _outcomes(table, target, data)
            table = table.drop(columns=target)
    body = None if example is None else _read_body(example)
    if declared is not None:
        return _declared_sample(declared, body, table, y, str(data))
    return GivenSample(_inferred_sample(model, body, table, str(data)), y)


def read_rows(file: str, signature: Signature, target: str | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Rows of a CSV file, or of a file with a request in JSON on each line, and with ``target`` the outcomes.

    Returns an ndarray of shape (n_rows, n_columns), and one of shape (n_rows,) or None. Raises InputError, or
    ClickException for a file that cannot be used.
    """
    if file.endswith(".csv"):
        labels = (
            [target]
            if target and signature.output.classes and isinstance(signature.output.classes[0], str)
            else []
        )
        table = _read_declared_table(file, signature, labels)
        y = None if target is None else _outcomes(table, target, file)
        given: list[Any] = list(
            _rows_of_table(signature, table.drop(columns=target) if target else table, file)
        )
    else:
        given, y = _read_lines(file, target)
    rows, faults = Rows(signature).read(given)
    if rows is None:
        raise InputError(fault.under(file) for fault in faults)
    return rows, y


def _read_lines(file: str, target: str | None) -> tuple[list[Any], np.ndarray | None]:
    """One row a line: a list, an object of values by name, or either under "features"; the outcome stands beside."""
    rows: list[Any] = []
    outcomes: list[Any] = []
    for number, line in enumerate(read_bytes(file).splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = parse(line)
        except MalformedBody as error:
            raise click.ClickException(f"{file}, line {number}: {error}") from error
        if target is not None:
            if not isinstance(row, dict) or target not in row:
                raise click.ClickException(f"{file}, line {number}: there is no {target!r}")
            outcomes.append(row.pop(target))
        if isinstance(row, dict) and isinstance(row.get("features"), (list, dict)):
            row = row["features"]
        rows.append(row)
    if not rows:
        raise click.ClickException(f"{file} has no rows")
    return rows, None if target is None else np.array(outcomes)


def _declared_sample(
    signature: Signature, body: Any, table: pd.DataFrame | None, y: Any, file: str
) -> GivenSample:
    parts: list[np.ndarray] = []
    parameters: dict[str, Any] = {}
    if body is not None:
        rows, parameters, _ = read_body(body, PredictSchemas(signature, max_rows=ANY_NUMBER))
        parts.append(rows)
    if table is not None:
        found, faults = Rows(signature).read(_rows_of_table(signature, table, file))
        if found is None:
            raise InputError(fault.under(file) for fault in faults)
        parts.append(found)
    return GivenSample(np.concatenate(parts), y, parameters)


def _inferred_sample(model: Any, body: Any, table: pd.DataFrame | None, file: str) -> Any:
    """A DataFrame if there is a table, else rows in the order of the model's columns."""
    fitted = getattr(model, "feature_names_in_", None)
    names = None if fitted is None else [str(name) for name in fitted]
    width = len(names) if names else getattr(model, "n_features_in_", None)
    rows = [] if body is None else _example_rows(body, names, width)
    if table is None:
        # JSON writes 5.0 as 5 too: one row cannot tell an integer from a measured number.
        return [[float(cell) if type(cell) is int else cell for cell in row] for row in rows]
    columns = names or list(table.columns)
    _check_columns(table, columns, file)
    if len(columns) != (width or len(columns)):
        raise click.ClickException(
            f"{file} has {len(columns)} columns ({', '.join(columns[:20])}), the model was fitted on {width}; "
            "leave out what it does not take, and name the outcome with --target"
        )
    if not rows:
        return table[columns]
    import pandas as pd

    return pd.DataFrame(
        {n: [_like(row[j], table[n]) for row in rows] + table[n].tolist() for j, n in enumerate(columns)}
    )


def _example_rows(body: Any, names: Sequence[str] | None, width: int | None) -> list[list[Any]]:
    """The rows of a body in any accepted form, for a model whose column types nobody has declared."""
    if not isinstance(body, dict):
        raise InputError([Fault((), "not an object", 'such as {"features": [..]}', shown(body))])
    found: list[tuple[tuple[str | int, ...], Any]]
    if _is_batch(body):
        envelope, found = "inputs", [(("inputs", i), row) for i, row in enumerate(body["inputs"])]
    elif isinstance(body.get("features"), (list, dict)):
        envelope, found = "features", [(("features",), body["features"])]
    else:
        envelope, found = "", [((), body)]
    faults = [unknown_name(name, [envelope]) for name in body if envelope and name != envelope]
    if not found:
        faults.append(Fault(("inputs",), "no rows", "at least one"))
    rows: list[list[Any]] = []
    for place, row in found:
        if isinstance(row, dict) and names is not None:
            faults += [unknown_name(name, names).under(*place) for name in row if name not in names]
            faults += [Fault((*place, name), "missing") for name in names if name not in row]
            rows.append([row.get(name) for name in names])
        elif not isinstance(row, (list, dict)):
            faults.append(
                Fault(place, "not a row", "a list of values, or an object of values by name", shown(row))
            )
        elif len(row) != (width := width or len(row)):
            faults.append(Fault(place, "wrong number of values", f"{width} values", f"{len(row)} values"))
        else:
            rows.append(row if isinstance(row, list) else [row[name] for name in sorted(row)])
    if faults:
        raise InputError(faults)
    return rows


def _is_batch(body: Any) -> bool:
    """No column ever takes a list, so a list called ``inputs`` is rows also beside a column of that name."""
    return isinstance(body, dict) and isinstance(body.get("inputs"), list)


def _read_body(file: str) -> Any:
    try:
        return parse(read_bytes(file))
    except MalformedBody as error:
        raise click.ClickException(f"{'standard input' if file == '-' else file}: {error}") from error


def _read_declared_table(file: str, signature: Signature, text: Sequence[str] = ()) -> pd.DataFrame:
    """Text columns keep their text ("007", "NA"); an empty cell alone is missing."""
    columns = [
        c for c in signature.columns if not c.numeric and all(isinstance(v, str) for v in c.values or ())
    ]
    return _read_table(file, [*text, *(c.name for c in columns)], keep_default_na=False, na_values=[""])


def _read_table(file: str, text: Sequence[str], **options: Any) -> pd.DataFrame:
    import pandas as pd  # only CSV files need it

    data = io.BytesIO(read_bytes(file))
    try:
        with warnings.catch_warnings():
            # Without an index column, values that no name in the header stands for are a warning.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(
                data, dtype=dict.fromkeys(text, str), index_col=False, low_memory=False, **options
            )
    except (ValueError, pd.errors.ParserWarning) as error:  # pandas' errors and wrong UTF-8 are ValueErrors
        raise click.ClickException(f"{file} cannot be read as CSV: {' '.join(str(error).split())}") from error
    if table.empty:
        raise click.ClickException(f"{file} has no rows below the line that names its columns")
    return table


def _rows_of_table(
    signature: Signature, table: pd.DataFrame, file: str
) -> list[dict[str, Any]] | list[list[Any]]:
    """Rows as a request has them: by name, or in the order of the table for a model without names."""
    columns = signature.columns
    if signature.named:
        _check_columns(table, [c.name for c in columns if c.required], file)
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
    """Missing is None; one word among numbers makes text of its whole column, which the numbers did not deserve."""
    if isinstance(value, str) and column.dtype in MEASURED:
        try:
            return float(value)
        except ValueError:
            return value
    return None if value != value else value


def _check_columns(table: pd.DataFrame, names: Sequence[str], file: str) -> None:
    missing = [name for name in names if name not in table.columns]
    if missing:
        has = ", ".join(table.columns[:20])
        raise click.ClickException(f"{file} lacks {', '.join(missing[:20])}; it has {has}")


def _outcomes(table: pd.DataFrame, target: str, file: str) -> np.ndarray:
    _check_columns(table, [target], file)
    missing = int(table[target].isna().sum())
    if missing:
        raise click.ClickException(f"{file}: {missing} of {len(table)} rows have no {target}; leave them out")
    return np.array(table[target].tolist())


def _like(cell: Any, column: pd.Series) -> Any:
    """5.0 in a column of integers is 5, so that one example does not make measured numbers of them all."""
    return int(cell) if column.dtype.kind in "iu" and isinstance(cell, float) and cell.is_integer() else cell
