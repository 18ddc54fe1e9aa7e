"""How the cost of requests and of publishing grows with columns, values of a category, and rows.

``python -m benchmarks.studies.growth [--write]`` reads and checks bodies in this process, publishes into a
temporary store, prints a table for each, and fails where something grows faster than what it depends on.
``--write`` puts the tables into docs/performance.md. CPU time, of the processes that publishing starts too,
so other work matters little.
"""

from __future__ import annotations

import gc
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import orjson
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from benchmarks.blocks import replace_block, table
from models.errors import InputError
from models.publishing import publish
from models.signature import Column, Output, Signature
from models.store import Store
from schemas.json_body import read
from schemas.predict import PredictSchemas

#: Ten times as much may take this many times as long: more than ten, since little fits the processor's caches
#: and much does not, and well below the hundred of quadratic growth.
LARGEST_STEP = 30.0

LEAST_SECONDS = 0.02
PUBLISH = "publish"
MAX_ROWS = 100_000

Case = tuple[str, Callable[[], object]]


@dataclass(frozen=True, slots=True)
class Line:
    """CPU milliseconds of one thing for each size."""

    what: str
    sizes: tuple[int, ...]
    milliseconds: tuple[float, ...]

    @property
    def largest_step(self) -> float:
        """The largest ratio of neighbours, as if every size were ten times the one before."""
        ratios = np.divide(self.milliseconds[1:], self.milliseconds[:-1])
        return float((ratios * 10 * np.divide(self.sizes[:-1], self.sizes[1:])).max())


def of_columns(size: int) -> Iterator[Case]:
    """Models of so many columns."""
    columns = tuple(Column(f"c{i}") for i in range(size))
    mixed = tuple(Column(f"c{i}", "float" if i % 2 else "string", nullable=i % 3 == 0) for i in range(size))
    numbers, cells = [0.5] * size, [0.5 if i % 2 else "text" for i in range(size)]
    plain, other = _schemas(columns), _schemas(mixed)
    named = {c.name: value for c, value in zip(columns, numbers, strict=True)}
    yield "numbers in order", _single(plain, {"features": numbers})
    yield "numbers by name", _single(plain, named)
    yield "text and numbers by name", _single(other, dict(zip(named, cells, strict=True)))
    yield "every value wrong", _single(plain, {"features": ["text"] * size})
    yield "every name wrong", _single(plain, {f"{name}_": 0.5 for name in named})
    yield "the signature, from its record", lambda: _again(Signature(columns, Output("number")))
    yield PUBLISH, lambda: _publish(Ridge(), pd.DataFrame(dict.fromkeys(named, np.arange(64.0))))


def of_categories(size: int) -> Iterator[Case]:
    """A model with a category of so many values."""
    values = tuple(f"value {i}" for i in range(size))
    schemas = _schemas((Column("c", "category", values=values), Column("x")))
    yield "a row", _single(schemas, {"c": values[-1], "x": 1})
    yield "a row with another value", _single(schemas, {"c": "none", "x": 1})
    yield "100 rows", _batch(schemas, [[values[i * size // 100], 1] for i in range(100)])
    model = make_pipeline(OneHotEncoder(), Ridge(solver="lsqr", max_iter=3))
    yield PUBLISH, lambda: _publish(model, pd.DataFrame({"c": pd.Categorical(values)}))


def of_rows(size: int) -> Iterator[Case]:
    """Requests, and samples, of so many rows."""
    plain = _schemas(tuple(map(Column, "abcd")))
    mixed = _schemas((Column("a"), Column("b", "string"), Column("c", "date"), Column("d", nullable=True)))
    yield "numbers", _batch(plain, [[1.5, 2.5, 3.5, 4.5]] * size)
    yield "numbers by name", _batch(plain, [dict(zip("abcd", (1.5, 2.5, 3.5, 4.5), strict=True))] * size)
    yield "text, dates and nulls", _batch(mixed, [[1.5, f"text {size}", "2026-01-31", None]] * size)
    yield "the last value wrong", _batch(plain, [[1.5] * 4] * (size - 1) + [[1.5] * 3 + ["text"]])
    sample = pd.DataFrame(np.random.default_rng(0).normal(size=(size, 4)), columns=list("abcd"))
    yield PUBLISH, lambda: _publish(Ridge(), sample)


DIMENSIONS: dict[str, tuple[Callable[[int], Iterator[Case]], tuple[int, ...]]] = {
    "columns": (of_columns, (10, 100, 1_000, 10_000)),
    "values of a category": (of_categories, (10, 100, 1_000, 10_000, 100_000)),
    "rows": (of_rows, (1, 10, 100, 1_000, 10_000, 100_000)),
}


def measure(
    cases: Callable[[int], Iterable[Case]],
    sizes: Sequence[int],
    only: Callable[[str], bool] = lambda what: True,
) -> list[Line]:
    """A line for each case that ``only`` picks."""
    found: dict[str, list[float]] = {}
    for size in sizes:
        for what, call in cases(size):
            if only(what):
                found.setdefault(what, []).append(_milliseconds(call, once=what == PUBLISH))
    return [Line(what, tuple(sizes), tuple(times)) for what, times in found.items()]


def shown(dimension: str, lines: Sequence[Line]) -> str:
    """As the documentation shows it."""
    rows = [[line.what, *map(_written, line.milliseconds), f"{line.largest_step:.1f}x"] for line in lines]
    return table([dimension, *(f"{size:,}" for size in lines[0].sizes), "largest step"], rows)


@click.command(help=__doc__)
@click.option("--write", is_flag=True, help="Put the tables into docs/performance.md.")
def main(write: bool) -> None:
    """Measure, print, and fail where something grows too fast."""
    found = {name: measure(cases, sizes) for name, (cases, sizes) in DIMENSIONS.items()}
    machine = f"({os.cpu_count()} cores, Python {platform.python_version()}: "
    machine += "`python -m benchmarks.studies.growth --write`)"
    text = "\n\n".join([*(shown(name, lines) for name, lines in found.items()), machine])
    click.echo(text)
    if write:
        replace_block("growth", text)
    steep = [
        f"{line.what}, by {name}"
        for name, lines in found.items()
        for line in lines
        if line.largest_step > LARGEST_STEP
    ]
    if steep:
        sys.exit(f"more than {LARGEST_STEP:g} times as long for ten times as much: {'; '.join(steep)}")


def _schemas(columns: tuple[Column, ...]) -> PredictSchemas:
    return PredictSchemas(Signature(columns, Output("number")), max_rows=MAX_ROWS)


def _single(schemas: PredictSchemas, body: Any) -> Callable[[], object]:
    return _reading(schemas.read_single, body)


def _batch(schemas: PredictSchemas, rows: list[Any]) -> Callable[[], object]:
    return _reading(schemas.read_batch, {"inputs": rows})


def _reading(reads: Callable[..., object], body: Any) -> Callable[[], object]:
    """Reads the bytes of a body as the server does; whether they fit is not asked here."""
    sent = orjson.dumps(body)

    def call() -> None:
        value, numbers = read(sent)
        with suppress(InputError):
            reads(value, numbers=numbers)

    return call


def _again(signature: Signature) -> Signature:
    return Signature.from_dict(orjson.loads(orjson.dumps(signature.to_dict())))


def _publish(model: Any, sample: pd.DataFrame) -> None:
    model.fit(sample, np.arange(float(len(sample))))
    with tempfile.TemporaryDirectory() as directory:
        publish(Store(Path(directory)), "model", model, sample)


def _milliseconds(call: Callable[[], object], *, once: bool) -> float:
    """CPU time of one call: the best of three series that are long enough for the clock."""
    if once:
        return _cpu_seconds(call, 1) * 1e3
    calls = 1
    while (took := _cpu_seconds(call, calls)) < LEAST_SECONDS:
        calls *= 4
    return min(took, *(_cpu_seconds(call, calls) for _ in range(2))) / calls * 1e3


def _cpu_seconds(call: Callable[[], object], calls: int) -> float:
    """Without the garbage collector, which in a worker never looks at what was there at its start."""
    gc.disable()
    try:
        began = _spent()
        for _ in range(calls):
            call()
        return _spent() - began
    finally:
        gc.enable()


def _spent() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _written(milliseconds: float) -> str:
    return f"{milliseconds:,.3g}" if milliseconds < 100 else f"{milliseconds:,.0f}"


if __name__ == "__main__":
    main()
