"""Printed results: tables on a terminal, plain columns in a pipe, JSON for programs, a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import click
import numpy as np
import orjson
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from app.banner import curl
from app.cli.answers import answer_columns, describe_output
from app.cli.documents import described_version, names_of
from app.config import Settings
from models.compiled import compiled_state
from models.outputs import Outputs
from models.publishing.reference import REFERENCE
from models.record import Record
from models.signature import Column, Signature
from models.store import Store
from models.talk import aside
from schemas.documents import column_words

#: The width without a terminal, at which no line is wrapped or cut.
PIPE_WIDTH = 100_000

#: A batch of more columns than this is shown by the numbers of its rows.
MAX_SHOWN_COLUMNS = 8


def console(*, stderr: bool = False) -> Console:
    """Return standard output or error as a console that honours NO_COLOR and knows no markup."""
    output = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not output.is_terminal:
        output.width = PIPE_WIDTH
    return output


@contextmanager
def progress(first: str, total: int | None = None) -> Iterator[Callable[[str], None]]:
    """A progress bar on standard error if that is a terminal; yields a function that begins a step.

    ``first`` names the first step, and ``total`` is the number of steps, if it is known. What models print
    meanwhile goes to standard error, because it is not part of the result.
    """
    out = console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
    )
    with aside(), Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as bar:
        task, done = bar.add_task(first, total=total), count()
        yield lambda what: bar.update(task, description=what, completed=next(done))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> None:
    """Print a table with numbers aligned right, without empty columns; nothing without rows."""
    of_columns = list(zip(*rows, strict=True))
    if not of_columns:
        return
    out = console()
    table = Table(box=box.SIMPLE_HEAD if out.is_terminal else None, pad_edge=False, header_style="bold")
    shown = [(name, v) for name, v in zip(columns, of_columns, strict=True) if any(map(cell, v))]
    for name, values in shown:
        number = all(isinstance(value, (int, float)) for value in values)
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in zip(*(values for _, values in shown), strict=True):
        table.add_row(*(Text(cell(value)) for value in row))
    if title:
        print_heading(title)
    out.print(table)


def print_facts(facts: Mapping[str, Any]) -> None:
    """Print a line for each name that has a value. Lines are not wrapped, so that they can be pasted."""
    shown = {name: cell(value) for name, value in facts.items() if cell(value)}
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        console().print(Text.assemble((f"{name:<{width}}", "dim"), f"  {value}"), soft_wrap=True)


def print_heading(text: str) -> None:
    """Print a bold line below an empty one."""
    console().print(Text(f"\n{cell(text)}", "bold"), soft_wrap=True)


def cell(value: Any) -> str:
    """A value as text for a table: floats are shortened, and control characters are removed."""
    if isinstance(value, bool) or value is None:
        text = {True: "true", False: "false", None: ""}[value]
    elif isinstance(value, float):
        text = f"{value:.6g}"
    elif isinstance(value, (list, tuple)):
        text = ", ".join(cell(item) for item in value)
    elif isinstance(value, (dict, Mapping)):
        text = ", ".join(f"{name} {cell(item)}" for name, item in value.items())
    else:
        text = str(value)
    return "".join(c if c.isprintable() else " " for c in text)


def print_models(models: Sequence[Mapping[str, Any]]) -> None:
    """Print a line for each version of the models."""
    rows = (
        (
            model["name"],
            version["version"],
            version["names"],
            version.get("framework"),
            version.get("pickled_with"),
            *(version.get(key, "")[:16].replace("T", " ") for key in ("trained_at", "published_at")),
            version["status"],
        )
        for model in models
        for version in model["versions"]
    )
    times = "trained (UTC)", "published (UTC)"
    print_table(["model", "version", "names", "framework", "pickled with", *times, "status"], rows)


def _origin(stored: Record) -> str:
    """What synthetic golden rows were made from."""
    rows = orjson.loads(stored.read(REFERENCE))["rows"] if REFERENCE in stored.manifest.files else 0
    return f"made from {rows} rows" if rows else "made from the example alone"


def print_added(settings: Settings, store: Store, stored: Record, as_json: bool) -> None:
    """Print a version that is new in the store, and the next steps."""
    if as_json:
        print_json(described_version(stored, names_of(store, stored)))
        return
    manifest, stable = stored.manifest, store.resolve(stored.manifest.name)
    made_up = f"{_origin(stored)}; --data SAMPLE.csv with more gives real ones, and the ranges of each column"
    facts = {
        "golden rows": made_up if manifest.golden_synthetic else "",
        "stable": "" if stable == manifest.version else f"is still {manifest.name}:{stable}",
        "call": call_of(settings, stored),
        "next": f"flask predict {manifest.key} --example",
    }
    print_version(store, stored, facts)


def print_version(
    store: Store, stored: Record, facts: Mapping[str, Any], history: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Print everything about one version, and ``facts`` at the end."""
    manifest, signature = stored.manifest, stored.manifest.signature
    names = names_of(store, stored)
    print_heading(f"{manifest.key}" + (f"  ({', '.join(names)})" if names else ""))
    print_facts(
        {
            "description": manifest.description,
            "framework": f"{manifest.framework} ({manifest.estimator})",
            "libraries": manifest.libraries,
            "pickled with": manifest.pickled_with,
            "trained": manifest.trained_at,
            "published": manifest.published_at,
            "output": describe_output(signature.output),
            "metrics": manifest.metrics,
            "speed": ", ".join(f"{cell(ms)} ms for {n}" for n, ms in manifest.measured_ms.items()) + " rows",
            "golden rows": f"{manifest.golden_rows}" + (", synthetic" if manifest.golden_synthetic else ""),
            **_compiled_facts(manifest.compiled),
        }
    )
    print_columns(signature.columns, "Columns" if signature.named else "Columns, named by position")
    print_columns(signature.parameters, "Parameters")
    answer = ((column.name, column.dtype, column.description) for column in signature.output.columns)
    print_table(["name", "type", "description"], answer, "Each record of the answer")
    files = manifest.files.items()
    print_table(["file", "bytes", "sha256"], ((path, f.size_bytes, f.sha256) for path, f in files), "Files")
    changes = ([c.pop(key, "") for key in ("when", "who", "what")] + [c] for c in map(dict, history))
    print_table(["when", "who", "what", "details"], changes, "History of the model")
    console().print()
    print_facts(facts)


def _compiled_facts(recorded: Mapping[str, Any]) -> dict[str, str]:
    """Return which form serves and why, its allowed and its greatest difference from the original."""
    state = compiled_state(recorded)
    if "here" not in state:
        return {"compiled": state.get("why", "")}
    on_this_host = state["here"]
    return {
        "compiled": f"{state['form']}: {state['why']}",
        "deviation": f"{state['max_abs_difference']:.2g} at most in {state['rows_compared']} rows; "
        f"{state['tolerance']:g} is allowed",
        "served here": f"by the original: {on_this_host['why']}" if "why" in on_this_host else "",
    }


def print_prediction(
    signature: Signature, rows: np.ndarray, parameters: Mapping[str, Any], outputs: Outputs, *, single: bool
) -> None:
    """Print the answers to ``rows``, an ndarray of shape (n_rows, n_columns).

    A single row is printed downwards with its inputs, and several rows as a table.
    """
    columns = signature.columns
    names = [column.name for column in columns]
    inputs = [[c.natural(value) for c, value in zip(columns, row, strict=True)] for row in rows.tolist()]
    if single:
        print_table(["input", "value"], [*zip(names, inputs[0], strict=True), *parameters.items()])
    else:
        print_facts(parameters)
    if signature.output.kind == "records":
        _print_records(signature.output.columns, outputs, single=single)
        return
    labels, answers = answer_columns(signature.output, outputs)
    if single:
        print_table(["answer", "value"], zip(labels, answers[0], strict=True))
        return
    shown = names if len(names) <= MAX_SHOWN_COLUMNS else []
    cells = inputs if shown else [[] for _ in inputs]
    numbered = ([i, *row, *answer] for i, (row, answer) in enumerate(zip(cells, answers, strict=True)))
    print_table(["row", *shown, *labels], numbered)


def _print_records(columns: Sequence[Column], outputs: Outputs, *, single: bool) -> None:
    names = [column.name for column in columns]
    rows = [[i, *map(record.get, names)] for i, records in enumerate(outputs.values) for record in records]
    print_table(names, (row[1:] for row in rows)) if single else print_table(["row", *names], rows)


def print_columns(columns: Sequence[Column], title: str) -> None:
    """Print a table of columns or parameters; nothing without any."""
    headings = ["name", "takes", "default", "seen in training", "example", "description"]
    print_table(headings, map(column_words, columns), title)


def print_json(document: Any) -> None:
    """Print indented JSON for programs."""
    click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY))


def say(as_json: bool, line: str, **document: Any) -> None:
    """Print what was done, as a sentence or as JSON."""
    print_json(document) if as_json else click.echo(line)


def call_of(settings: Settings, record: Record) -> str:
    """A line that calls the version on a server of this machine, as it can be pasted."""
    manifest = record.manifest
    path = f"/models/{manifest.name}/versions/{manifest.version}/predict"
    return curl(settings, path, manifest.example["request"])
