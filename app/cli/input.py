"""How files of the command line become requests and samples: JSON bodies in any accepted form, and CSV."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from app.cli.tables import (
    check_columns,
    like,
    outcome_column,
    read_bytes,
    read_declared_table,
    read_table,
    rows_of_table,
)
from models.errors import Fault, InputError
from models.outputs import array_of
from models.signature import Signature
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
    """The rows that a model is published with."""

    #: Array of shape (n_rows, n_columns), DataFrame, or list of rows.
    X: Any
    #: The outcomes: an array of shape (n_rows,), a DataFrame of several, or None.
    y: Any = None
    #: The values of the parameters, which are the same for all rows.
    parameters: Mapping[str, Any] = field(default_factory=dict)


def read_request(file: str, schemas: PredictSchemas) -> tuple[np.ndarray, dict[str, Any], bool]:
    """Return rows of shape (n_rows, n_columns), parameters, and whether the file asks for a single row.

    A CSV file is a batch. Raises InputError and ClickException.
    """
    if file.lower().endswith(".csv"):
        signature = schemas.signature
        body: Any = {"inputs": rows_of_table(signature, read_declared_table(file, signature), file)}
    else:
        body = _read_body(file)
    return read_body(body, schemas)


def read_body(body: Any, schemas: PredictSchemas) -> tuple[np.ndarray, dict[str, Any], bool]:
    """Return the parts of a JSON body, as ``read_request`` does for a file."""
    single = not _is_batch(body)
    return *(schemas.read_single(body) if single else schemas.read_batch(body)), single


def read_sample(
    model: Any, example: str | None, data: str | None, targets: Sequence[str] = ()
) -> GivenSample:
    """Return the sample that a model is published with: the example's rows, and then those of the data.

    ``model`` is the unpickled model, which names its columns. At least one of ``example`` and ``data`` is a
    file. ``targets``, the columns of outcomes, come with ``data`` alone.
    Raises InputError when the example does not fit the model, ClickException for files that cannot be used.
    """
    signature = getattr(model, "signature", None)
    declared = signature if isinstance(signature, Signature) else None
    table = y = None
    if data is not None:
        # Labels that are text must not be read as numbers, or no prediction would ever equal them.
        text = _text_targets(model, targets)
        if declared is None:
            text += _text_columns(model, set(text))
        table = read_declared_table(data, declared, text) if declared else read_table(data, text)
        if targets:
            outcomes = [outcome_column(table, target, data) for target in targets]
            y = _side_by_side(targets, outcomes) if len(targets) > 1 else outcomes[0]
            table = table.drop(columns=list(targets))
    body = None if example is None else _read_body(example)
    if declared is not None:
        return _declared_sample(declared, body, table, y, str(data))
    return GivenSample(_inferred_sample(model, body, table, str(data)), y)


def _text_targets(model: Any, targets: Sequence[str]) -> list[str]:
    """The columns of outcomes with text labels; a model has one array of labels, or one for each output."""
    classes = getattr(model, "classes_", ())
    of_each = classes if isinstance(classes, (list, tuple)) else [classes] * len(targets)
    kinds = (getattr(labels, "dtype", np.dtype(float)).kind for labels in of_each)
    return [target for target, kind in zip(targets, kinds, strict=False) if kind in "OU"]


def _text_columns(model: Any, but: Collection[str]) -> list[str]:
    """The columns that the model knows as text: a postcode of digits must not be read as a number."""
    from models.publishing.column_inference import text_columns
    from models.publishing.recorded import recorded_names

    return [name for name in text_columns(model, recorded_names(model) or ()) if name not in but]


def _side_by_side(names: Sequence[str], columns: Sequence[np.ndarray]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(dict(zip(names, columns, strict=True)))


def read_rows(
    file: str, signature: Signature, targets: Sequence[str] = ()
) -> tuple[np.ndarray, np.ndarray | None]:
    """The rows of a CSV file, or of one with a row in JSON on each line, and the outcomes of ``targets``.

    Returns an ndarray of shape (n_rows, n_columns), and one of shape (n_rows,) or (n_rows, n_targets), or
    None without targets; there is one target for each output. Raises InputError, or ClickException for a file
    that cannot be used.
    """
    if file.endswith(".csv"):
        outputs = signature.output.outputs or [signature.output] * len(targets)
        text = [
            t for t, one in zip(targets, outputs, strict=True) if any(isinstance(c, str) for c in one.classes)
        ]
        table = read_declared_table(file, signature, text)
        outcomes = [outcome_column(table, target, file).tolist() for target in targets]
        y = outcomes_of(list(zip(*outcomes, strict=True))) if targets else None
        values: list[Any] = list(rows_of_table(signature, table.drop(columns=list(targets)), file))
    else:
        values, y = _read_lines(file, targets)
    rows, faults = Rows(signature).read(values)
    if rows is None:
        raise InputError(fault.under(file) for fault in faults)
    return rows, y


def _read_lines(file: str, targets: Sequence[str]) -> tuple[list[Any], np.ndarray | None]:
    """Each line holds one row: a list or an object, or either under "features", next to the outcomes."""
    rows: list[Any] = []
    outcomes: list[Any] = []
    for number, line in enumerate(read_bytes(file).splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = parse(line)
        except MalformedBody as error:
            raise click.ClickException(f"{file}, line {number}: {error}") from error
        for target in targets:
            if not isinstance(row, dict) or target not in row:
                raise click.ClickException(f"{file}, line {number}: {target!r} is missing")
        if targets:
            outcomes.append([row.pop(target) for target in targets])
        if isinstance(row, dict) and isinstance(row.get("features"), (list, dict)):
            row = row["features"]
        rows.append(row)
    if not rows:
        raise click.ClickException(f"{file} has no rows")
    return rows, outcomes_of(outcomes) if targets else None


def outcomes_of(rows: Sequence[Sequence[Any]]) -> np.ndarray:
    """Return the outcomes: shape (n_rows,) for one outcome per row, else (n_rows, n_targets)."""
    return array_of([row[0] for row in rows] if len(rows[0]) == 1 else [list(row) for row in rows])


def _declared_sample(
    signature: Signature, body: Any, table: pd.DataFrame | None, y: Any, file: str
) -> GivenSample:
    parts: list[np.ndarray] = []
    parameters: dict[str, Any] = {}
    if body is not None:
        rows, parameters, _ = read_body(body, PredictSchemas(signature, max_rows=ANY_NUMBER))
        parts.append(rows)
    if table is not None:
        rows_of_file, faults = Rows(signature).read(rows_of_table(signature, table, file))
        if rows_of_file is None:
            raise InputError(fault.under(file) for fault in faults)
        parts.append(rows_of_file)
    return GivenSample(np.concatenate(parts), y, parameters)


def _inferred_sample(model: Any, body: Any, table: pd.DataFrame | None, file: str) -> Any:
    """A DataFrame if the model, the header or the example names the columns; else rows of values."""
    from models.publishing.recorded import recorded_names
    from models.publishing.sample import target_hint  # pandas: other commands do without

    recorded = recorded_names(model)
    names = list(recorded or (table.columns if table is not None else _named_in(body)))
    width = len(names) or int(getattr(model, "n_features_in_", 0)) or None
    rows = [] if body is None else _example_rows(body, names or None, width)
    # JSON writes 5.0 as 5 too: one row cannot tell an integer from a measured number.
    rows = [[float(cell) if type(cell) is int else cell for cell in row] for row in rows]
    if table is None and not names:
        return rows
    import pandas as pd

    if table is None:
        return pd.DataFrame(rows, columns=names)
    check_columns(table, names, file)
    fitted = int(getattr(model, "n_features_in_", 0)) or len(names)
    if len(names) != fitted:
        hint = target_hint(table, np.ravel(getattr(model, "classes_", ())).tolist())
        raise click.ClickException(
            f"{file} has {len(names)} columns ({', '.join(names[:20])}), the model was fitted on {fitted}; "
            f"leave out what it does not take, and name the outcome with --target{hint}"
        )
    if not rows:
        return table[names]
    return pd.DataFrame(
        {n: [like(row[j], table[n]) for row in rows] + table[n].tolist() for j, n in enumerate(names)}
    )


def _named_in(body: Any) -> list[str]:
    """The names in an example's first row, in their order; none where it is a list."""
    if not isinstance(body, dict):
        return []
    row = body["inputs"][0] if _is_batch(body) and body["inputs"] else body.get("features", body)
    if not isinstance(row, dict):
        return [] if "features" in body or _is_batch(body) else list(body)
    return list(row)


def _example_rows(body: Any, names: Sequence[str] | None, width: int | None) -> list[list[Any]]:
    """The rows of a body in any accepted form, for a model without declared column types."""
    if not isinstance(body, dict):
        raise InputError([Fault((), "not an object", 'such as {"features": [..]}', shown(body))])
    located: list[tuple[tuple[str | int, ...], Any]]
    if _is_batch(body):
        envelope, located = "inputs", [(("inputs", i), row) for i, row in enumerate(body["inputs"])]
    elif isinstance(body.get("features"), (list, dict)):
        envelope, located = "features", [(("features",), body["features"])]
    else:
        envelope, located = "", [((), body)]
    faults = [unknown_name(name, [envelope]) for name in body if envelope and name != envelope]
    if not located:
        faults.append(Fault(("inputs",), "no rows", "at least one"))
    rows: list[list[Any]] = []
    for location, row in located:
        if isinstance(row, dict) and names is not None:
            faults += [unknown_name(name, names).under(*location) for name in row if name not in names]
            faults += [Fault((*location, name), "missing") for name in names if name not in row]
            rows.append([row.get(name) for name in names])
        elif not isinstance(row, (list, dict)):
            faults.append(
                Fault(location, "not a row", "a list of values, or an object of values by name", shown(row))
            )
        elif len(row) != (width := width or len(row)):
            faults.append(Fault(location, "wrong number of values", f"{width} values", f"{len(row)} values"))
        else:
            rows.append(row if isinstance(row, list) else [row[name] for name in sorted(row)])
    if faults:
        raise InputError(faults)
    return rows


def _is_batch(body: Any) -> bool:
    """Whether the body holds many rows. No column takes a list, so ``inputs`` with a list is not a column."""
    return isinstance(body, dict) and isinstance(body.get("inputs"), list)


def _read_body(file: str) -> Any:
    try:
        return parse(read_bytes(file))
    except MalformedBody as error:
        raise click.ClickException(f"{'standard input' if file == '-' else file}: {error}") from error
