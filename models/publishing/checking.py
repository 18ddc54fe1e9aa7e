"""Concerns about a version, found by trying rows that clients will send one day.

A client sends null, numbers outside the range of the sample, and unknown words. Each is tried in one column
of the first golden row at a time. A value that the signature refuses is not a concern, since the client gets
a 422. A value that makes the model fail is one: the client gets a 500.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from models.conformity import misfit
from models.errors import InputError, PlumblineError
from models.golden import GoldenRows
from models.record import Record
from models.runtime import Runtime
from models.runtimes import runtime_for
from models.signature import MEASURED, Column

#: The number of columns that are tried, since each takes several calls.
MAX_COLUMNS = 200
#: Slower calls for one row are reported.
SLOW_MS = 100.0
LARGE_BYTES = 500 * 2**20
UNSEEN = "never seen before"


@dataclass(frozen=True, slots=True)
class Concern:
    """One finding about a version."""

    #: ``problem``: requests will fail. ``hint``: something could be better.
    level: Literal["problem", "hint"]
    #: One line.
    text: str


def concerns(draft: Record) -> list[Concern]:
    """Return all concerns, problems first. Raises LoadError if the draft cannot be loaded."""
    runtime = runtime_for(draft)
    runtime.load()
    try:
        findings = [*_of_columns(draft, runtime), *_of_the_whole(draft)]
    finally:
        runtime.close()
    return sorted(findings, key=lambda concern: concern.level != "problem")


def _of_columns(draft: Record, runtime: Runtime) -> Iterator[Concern]:
    signature, golden = draft.manifest.signature, draft.golden
    fault_of = _asker(draft, runtime, golden)
    answers_null, open_ended = [], []
    for j, column in enumerate(signature.columns[:MAX_COLUMNS]):
        if not column.nullable and not fault_of(j, None):
            answers_null.append(column.name)
        for value in _unusual(column):
            if fault := fault_of(j, value):
                yield Concern(
                    "problem",
                    f"{column.name} = {value!r} makes the model fail ({fault}); a client gets a 500",
                )
                break
        if column.dtype == "string" and column.values is None and not fault_of(j, UNSEEN):
            open_ended.append(column.name)
    if answers_null:
        yield Concern(
            "hint",
            f"null is refused for {_listed(answers_null)}, although the model answers without a value; "
            f"--nullable {answers_null[0]} takes it",
        )
    if open_ended:
        yield Concern(
            "hint", f"text that is not in the sample is answered, not refused: {_listed(open_ended)}"
        )
    if len(signature.columns) > MAX_COLUMNS:
        yield Concern("hint", f"only the first {MAX_COLUMNS} of {len(signature.columns)} columns were tried")


def _asker(draft: Record, runtime: Runtime, golden: GoldenRows) -> Callable[[int, Any], str]:
    """Return a function from a column's position and a value to the fault of the answer to the first golden
    row with that value; the fault is empty if the answer conforms.
    """
    output = draft.manifest.signature.output

    def fault_of(j: int, value: Any) -> str:
        row = golden.rows[:1].copy()
        row[0, j] = np.nan if value is None and row.dtype == np.float64 else value
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                outputs = runtime.predict(row, golden.parameters)
        except InputError:
            return ""  # the client gets it with its location
        except PlumblineError as error:
            return (str(error).partition(" failed: ")[2] or str(error))[:120]
        return misfit(output, outputs, 1)

    return fault_of


def _unusual(column: Column) -> Iterator[Any]:
    """Yield values that the signature accepts and the sample did not contain."""
    if column.values is not None:
        return
    if column.dtype == "string":
        yield from (UNSEEN, "")
    elif column.dtype in MEASURED:
        low, high = column.observed or (0, 0)
        reach = max(abs(low), abs(high), 1)
        for value in (0, -1, low - 10 * reach, high + 10 * reach):
            at_least = column.minimum is None or value >= column.minimum
            if at_least and (column.maximum is None or value <= column.maximum):
                yield int(value) if column.dtype == "int" else float(value)


def _of_the_whole(draft: Record) -> Iterator[Concern]:
    manifest, golden = draft.manifest, draft.golden
    if manifest.golden_synthetic:
        yield Concern(
            "hint",
            "there are fewer than 32 rows; --data with a few hundred rows tries more, and gives ranges",
        )
    elif len({str(value) for value in golden.outputs.values.tolist()}) == 1:
        yield Concern(
            "problem",
            "every row of the sample has the same answer; are the columns what the model was fitted on?",
        )
    one = manifest.measured_ms.get("1", 0.0)
    if one > SLOW_MS:
        yield Concern(
            "hint", f"one row takes {one:.0f} ms: a worker answers {1000 / one:.1f} of them a second"
        )
    size = sum(record.size_bytes for record in manifest.files.values())
    if size > LARGE_BYTES:
        yield Concern(
            "hint",
            f"it has {size / 2**20:,.0f} MiB in each worker; PLUMBLINE_SHARE_MODELS=1 loads it once",
        )


def _listed(names: list[str]) -> str:
    return ", ".join(names[:10]) + (f" .. ({len(names)} in all)" if len(names) > 10 else "")
