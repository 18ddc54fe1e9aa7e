"""The choice of a compiled form: one that gives the original's answers faster, or none.

A form is loaded and called as a server does it. It is compared with the original on the golden rows (together
and one by one), on the publisher's sample, and on rows at the thresholds of the model's trees. ``auto``
accepts only forms whose answers are *the same answers* (models/sameness.py). A form that computes in float32,
with its wider tolerance, must be chosen by name, and is tried only if no exact one passes.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models.compiled import CHOICES, ORIGINAL, CompiledRecord, platform_here
from models.errors import CompileError, LoadError, PlumblineError, PublishError
from models.golden import GoldenRows
from models.libraries import installed_versions
from models.manifest import Manifest
from models.publishing.timing import measured_ms
from models.record import Record
from models.runtime import Runtime
from models.runtimes.compiled_runtime import CompiledRuntime
from models.runtimes.frameworks import FORMS
from models.sameness import ABSOLUTE_TOLERANCE, FLOAT32_TOLERANCE, largest_difference, same_answers

MAX_SAMPLE_ROWS = 2000
MAX_REASON = 200
#: The least speed-up, for 1 row and for 64, that is worth a second implementation of the same answer.
WORTHWHILE = 1.1


@dataclass(frozen=True, slots=True)
class Form:
    """One way to build a form."""

    form: str
    file: str
    title: str
    #: Module and function, imported when the form is tried.
    builder: tuple[str, str]
    dtype: str = "float64"
    tolerance: float = ABSOLUTE_TOLERANCE
    libraries: tuple[str, ...] = ()


TREES = Form(
    "treelite", "compiled/model.so", "compiled trees", ("models.publishing.compiling.trees", "tree_library")
)
GRAPH = Form(
    "onnx",
    "compiled/model.onnx",
    "ONNX Runtime",
    ("models.publishing.compiling.graphs", "graph64"),
    libraries=FORMS["onnx"].libraries,
)
GRAPH32 = replace(
    GRAPH,
    title="ONNX Runtime in float32",
    builder=("models.publishing.compiling.graphs", "graph32"),
    dtype="float32",
    tolerance=FLOAT32_TOLERANCE,
)
#: Choice -> the forms that are tried; a later group only if no form of an earlier one passed.
GROUPS: Mapping[str, tuple[tuple[Form, ...], ...]] = {
    "none": (),
    "auto": ((TREES, GRAPH),),
    "treelite": ((TREES,),),
    "onnx": ((GRAPH,), (GRAPH32,)),
}


@dataclass(frozen=True, slots=True)
class Judged:
    """A form that passed the comparison."""

    draft: Record
    #: The product of its speed-ups for 1 row and for 64.
    speed: float


def with_compiled_form(
    draft: Record,
    original: Runtime,
    model: Any,
    rows: np.ndarray,
    choice: str,
    on_step: Callable[[str], None] = lambda step: None,
) -> Record:
    """Return the draft with the best compiled form of ``choice``, or with the reason why the original serves.

    ``original`` is the loaded runtime of the draft, ``model`` its estimator, and ``rows`` the sample, of
    shape (n_rows, n_columns).
    """
    if choice not in CHOICES:
        raise PublishError(f"--compile {choice!r}: use one of {', '.join(CHOICES)}")
    manifest, reasons = draft.manifest, dict[str, str]()
    unsupported = _unsupported(manifest)
    golden = draft.golden
    for group in () if unsupported else GROUPS[choice]:
        passed = []
        for form in group:
            on_step(f"compiling it: {form.title}")
            try:
                passed.append(_judged(form, draft, golden, original, model, rows))
            except LoadError as error:
                reasons.setdefault(error.in_full[:MAX_REASON], form.title)
            except PlumblineError as error:
                reasons.setdefault(str(error), form.title)
            except Exception as error:  # a failure of a model, converter or compiler does not stop publishing
                reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
                reasons.setdefault(reason[:MAX_REASON], form.title)
        if passed:
            return max(passed, key=lambda judged: judged.speed).draft
    why = (
        unsupported
        or "; ".join(f"{title}: {reason}" for reason, title in reasons.items())
        or "no compiled form was asked for"
    )
    record = CompiledRecord(ORIGINAL, f"cannot be compiled: {why}; the original serves")
    return replace(draft, manifest=replace(manifest, compiled=record.to_dict()))


def _unsupported(manifest: Manifest) -> str:
    """Return why no form is tried for a model of this kind; empty if some are."""
    output = manifest.signature.output
    if manifest.framework != "scikit-learn":
        return "only scikit-learn estimators can be compiled; this is an object with a predict() of its own"
    if manifest.frame or not manifest.signature.numeric:
        return "it takes a table with named or mixed columns, and compiled forms take numbers only"
    if output.kind == "several" or output.scores or output.method != "predict" or output.arguments:
        return "it answers more than one predict() does, and compiled forms give one number, vector or class"
    if output.kind == "class" and not output.probability:
        return "it has no probabilities to take its labels from"
    return ""


def _judged(
    form: Form, draft: Record, golden: GoldenRows, original: Runtime, model: Any, rows: np.ndarray
) -> Judged:
    """Build a form, compare it with the original, and measure both; raises CompileError or an error of the
    parts.
    """
    module, function = form.builder
    data: bytes = getattr(importlib.import_module(module), function)(model, draft.manifest)
    draft = draft.with_files({form.file: data})
    record = CompiledRecord(
        form=form.form,
        why="",
        file=form.file,
        dtype=form.dtype,
        tolerance=form.tolerance,
        platform=platform_here(),
        libraries=installed_versions(form.libraries),
    )
    trial = _recorded(draft, record)
    runtime = CompiledRuntime(trial, lambda: original)
    runtime.load()
    compared, largest = _parity(form, golden, original, runtime, model, rows)
    record = replace(
        record,
        rows_compared=compared,
        max_abs_difference=largest,
        bit_exact=largest == 0.0 and form is TREES and _bit_exact(model),
    )
    final = CompiledRuntime(_recorded(draft, record), lambda: original)
    final.load()
    before, times = measured_ms(original, golden), measured_ms(final, golden)
    gain = {n: round(before[n] / max(times[n], 1e-4), 1) for n in times}
    if min(gain["1"], gain["64"]) < WORTHWHILE:
        raise CompileError(
            f"it is not faster than the original ({gain['1']}x for 1 row, {gain['64']}x for 64)"
        )
    same = (
        "answers the same" if form.tolerance == ABSOLUTE_TOLERANCE else f"answers within {form.tolerance:g}"
    )
    why = f"{gain['1']:g}x as fast as the original for 1 row and {gain['64']:g}x for 64, {same}"
    kept = _recorded(draft, replace(record, speed_up=gain, why=why))
    kept = replace(kept, manifest=replace(kept.manifest, measured_ms=times))
    return Judged(kept, speed=gain["1"] * gain["64"])


def _recorded(draft: Record, record: CompiledRecord) -> Record:
    return replace(draft, manifest=replace(draft.manifest, compiled=record.to_dict()))


def _bit_exact(model: Any) -> bool:
    from models.publishing.compiling.trees import is_bit_exact

    return is_bit_exact(model)


def _parity(
    form: Form, golden: GoldenRows, original: Runtime, runtime: Runtime, model: Any, rows: np.ndarray
) -> tuple[int, float]:
    """Return how many rows were compared and the largest difference; raises CompileError if it is too
    large.
    """
    from models.publishing.compiling.boundaries import boundary_rows

    if len(rows) > MAX_SAMPLE_ROWS:
        rows = rows[np.sort(np.random.default_rng(0).permutation(len(rows))[:MAX_SAMPLE_ROWS])]
    calls = {
        "a golden row": [golden.rows, *(golden.rows[i : i + 1] for i in range(len(golden.rows)))],
        "a row of the sample": [rows],
        "a row at a threshold of its trees": [boundary_rows(model, golden.rows)],
    }
    compared, largest = 0, 0.0
    for source, batches in calls.items():
        for batch in batches:
            if not len(batch):
                continue
            expected, actual = (r.predict(batch, golden.parameters) for r in (original, runtime))
            difference = largest_difference(expected, actual)
            if not same_answers(expected, actual, form.tolerance):
                raise CompileError(f"it gives another answer for {source} (difference {difference:.3g})")
            compared, largest = compared + len(batch), max(largest, difference)
    return compared, largest
