"""Two versions side by side: what they are, and on which rows, by how much and where their answers part."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from models.comparison_truth import compare_truth, share
from models.manifest import Manifest
from models.outputs import Outputs, members, one_by_one
from models.sameness import same_answers
from models.signature import Column, Output, Signature

MOST_ROWS, MOST_SLICES, BINS = 10, 12, 20
#: A slice of fewer rows says nothing.
LEAST_ROWS = 5
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found, as JSON data. ``versions`` : both; ``metadata`` : what they recorded, where it differs; ``answers`` : on
    the rows that both were asked; ``truth`` : with known outcomes, how right each is, or None."""

    versions: tuple[int, int]
    metadata: Mapping[str, Any]
    answers: Mapping[str, Any]
    truth: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        found = {"versions": list(self.versions), "metadata": self.metadata, "answers": self.answers}
        return {**found, **({"truth": self.truth} if self.truth is not None else {})}


def compare(
    one: Manifest,
    other: Manifest,
    rows: np.ndarray,
    answers: tuple[Outputs, Outputs],
    truth: np.ndarray | None = None,
    *,
    show_rows: bool = True,
) -> Comparison:
    """rows : ndarray of shape (n_rows, n_columns), as the first version's signature names them; ``answers`` : of both
    versions to all of them; ``truth`` : what would have been right, of shape (n_rows,). ``show_rows`` : whether the
    values of single rows may be told."""
    first = Outputs(answers[0].values, answers[0].probabilities)
    answers = first, _in_order(one.signature, other.signature, answers[1])
    found = compare_answers(one.signature, rows, *answers)
    for row in [] if show_rows else found["rows_that_differ_most"]:
        del row["values"]
    return Comparison(
        (one.version, other.version),
        compare_metadata(one, other),
        found,
        None if truth is None else compare_truth(one.signature, truth, *answers),
    )


def compare_metadata(one: Manifest, other: Manifest) -> dict[str, Any]:
    """Columns, metrics, speed and origin: [first, second] of whatever is not the same, metrics and speed always."""
    columns = [{c.name: _described(c) for c in manifest.signature.columns} for manifest in (one, other)]
    described = {name: [of.get(name) for of in columns] for name in {**columns[0], **columns[1]}}
    facts = {
        "framework": (one.framework, other.framework),
        "estimator": (one.estimator, other.estimator),
        "description": (one.description, other.description),
        "trained_at": (one.trained_at, other.trained_at),
        "published_at": (one.published_at, other.published_at),
        "output": (one.signature.to_dict()["output"], other.signature.to_dict()["output"]),
        "libraries": (dict(one.libraries), dict(other.libraries)),
    }
    return {
        "columns": {name: pair for name, pair in described.items() if pair[0] != pair[1]},
        "metrics": {
            name: [one.metrics.get(name), other.metrics.get(name)]
            for name in sorted({*one.metrics, *other.metrics})
        },
        "measured_ms": {
            n: [one.measured_ms.get(n), other.measured_ms.get(n)]
            for n in sorted({*one.measured_ms, *other.measured_ms}, key=float)
        },
        "differing": {name: list(pair) for name, pair in facts.items() if pair[0] != pair[1]},
    }


def compare_answers(signature: Signature, rows: np.ndarray, one: Outputs, other: Outputs) -> dict[str, Any]:
    """How many predictions change, how far scores are apart, which rows differ most, and in which slices.

    A score is the prediction of a number, or the probability of the class that the first version names.
    """
    n = len(one)
    changed = np.array(
        [not same_answers(one.rows(i, i + 1), _labels_only(other, one, i)) for i in range(n)], dtype=bool
    )
    distance = _distances(signature.output, one, other)
    order = np.lexsort((np.arange(n), -np.abs(distance) if distance is not None else np.zeros(n), ~changed))
    most = [
        i for i in order[:MOST_ROWS].tolist() if changed[i] or (distance is not None and distance[i] != 0)
    ]
    found: dict[str, Any] = {
        "rows": n,
        **_changes(changed),
        "rows_that_differ_most": [
            {
                "row": i,
                "values": _values(signature, rows[i]),
                "answers": [_answer(signature.output, o, i) for o in (one, other)],
                "difference": None if distance is None else float(distance[i]),
            }
            for i in most
        ],
        "slices": _slices(signature, rows, changed),
    }
    if signature.output.kind == "several":
        found["outputs"] = {
            declared.name: _changes(own.values != others.values)
            for (declared, own), (_, others) in zip(
                one_by_one(signature.output, one), one_by_one(signature.output, other), strict=True
            )
        }
    if distance is not None and n:
        counts, edges = np.histogram(distance, bins=BINS)
        found["difference"] = {
            "mean": float(distance.mean()),
            "quantiles": {
                str(q): float(v) for q, v in zip(QUANTILES, np.quantile(distance, QUANTILES), strict=True)
            },
            "histogram": {"edges": edges.tolist(), "counts": counts.tolist()},
        }
    return found


def _in_order(one: Signature, other: Signature, outputs: Outputs) -> Outputs:
    """The second version's answers with the probabilities of each output in the order of the first one's classes; without
    them where it knows other classes. Scores are not compared."""
    wanted, there = ([_typed(o.classes) for o in s.output.with_classes] for s in (one, other))
    probabilities = outputs.probabilities
    if probabilities is not None and wanted != there:
        if list(map(set, wanted)) != list(map(set, there)):
            probabilities = None
        else:
            starts = [sum(map(len, there[:i])) for i in range(len(there))]
            order = [
                start + has.index(label)
                for start, labels, has in zip(starts, wanted, there, strict=True)
                for label in labels
            ]
            probabilities = probabilities[:, order]
    return Outputs(outputs.values, probabilities)


def _typed(classes: tuple[Any, ...]) -> list[tuple[type, Any]]:
    return [(type(label), label) for label in classes]


def _labels_only(other: Outputs, one: Outputs, i: int) -> Outputs:
    """The second version's prediction beside the first one's probabilities: those alone make no other prediction."""
    return Outputs(
        other.values[i : i + 1], None if one.probabilities is None else one.probabilities[i : i + 1]
    )


def _distances(output: Output, one: Outputs, other: Outputs) -> np.ndarray | None:
    """Second less first for each row, shape (n_rows,), where there are scores to be compared: of several outputs, or of
    several numbers, the one that is farthest apart."""
    pairs = zip(one_by_one(output, one), one_by_one(output, other), strict=True)
    found = [_distance(declared.kind, a, b) for (declared, a), (_, b) in pairs]
    apart = [distance for distance in found if distance is not None]
    return _farthest(np.column_stack(apart)) if apart else None


def _distance(kind: str, one: Outputs, other: Outputs) -> np.ndarray | None:
    """Of one output."""
    if one.probabilities is not None and other.probabilities is not None:
        if one.probabilities.shape != other.probabilities.shape:
            return None
        named = one.probabilities.argmax(axis=1)
        at = np.arange(len(named))
        found: np.ndarray = other.probabilities[at, named] - one.probabilities[at, named]
        return found
    if (
        kind != "class"
        and one.values.dtype.kind in "fiu"
        and other.values.dtype.kind in "fiu"
        and one.values.shape == other.values.shape
    ):
        apart = (other.values.astype(float) - one.values.astype(float)).reshape(len(one), -1)
        return _farthest(apart)
    return None


def _farthest(apart: np.ndarray) -> np.ndarray:
    """apart : shape (n_rows, width)."""
    largest: np.ndarray = apart[np.arange(len(apart)), np.abs(apart).argmax(axis=1)]
    return largest


def _slices(signature: Signature, rows: np.ndarray, changed: np.ndarray) -> list[dict[str, Any]]:
    """Where predictions change most: values of a column, or quarters of a numeric one with many, with at least a few rows."""
    found: list[dict[str, Any]] = []
    for j, column in enumerate(signature.columns):
        for what, inside in _parts(column, rows[:, j]):
            n = int(inside.sum())
            if n >= LEAST_ROWS and changed[inside].any():
                found.append(
                    {
                        "column": column.name,
                        "slice": what,
                        "rows": n,
                        "changed_share": share(changed[inside]),
                    }
                )
    found.sort(key=lambda part: (-part["changed_share"], -part["rows"]))
    return found[:MOST_SLICES]


def _parts(column: Column, cells: np.ndarray) -> list[tuple[str, np.ndarray]]:
    values = cells.tolist()
    missing = np.array([v is None or v != v for v in values], dtype=bool)
    parts = [("missing", missing)] if missing.any() else []
    distinct = sorted({v for v, gone in zip(values, missing, strict=True) if not gone}, key=str)
    if len(distinct) <= 8:
        parts += [
            (f"= {column.natural(v)}", np.array([w == v for w in values], dtype=bool)) for v in distinct
        ]
    elif column.numeric:
        numbers = np.array([math.nan if gone else float(v) for v, gone in zip(values, missing, strict=True)])
        edges = np.nanquantile(numbers, (0.0, 0.25, 0.5, 0.75, 1.0))
        for i, (low, high) in enumerate(pairwise(edges.tolist())):
            inside = (numbers >= low) & ((numbers <= high) if i == 3 else (numbers < high))
            parts.append((f"{low:.4g} to {high:.4g}", inside))
    return parts


def _described(column: Column) -> str:
    limits = (
        f" {column.minimum} to {column.maximum}" if (column.minimum, column.maximum) != (None, None) else ""
    )
    values = f" one of {len(column.values)}" if column.values is not None else ""
    return f"{column.dtype}{limits}{values}{' or null' if column.nullable else ''}"


def _values(signature: Signature, row: np.ndarray) -> dict[str, Any]:
    return {
        column.name: column.natural(cell)
        for column, cell in zip(signature.columns, row.tolist(), strict=True)
    }


def _answer(output: Output, outputs: Outputs, i: int) -> dict[str, Any]:
    return {name: of_rows[0] for name, of_rows in members(output, outputs.rows(i, i + 1)).items()}


def _changes(flags: np.ndarray) -> dict[str, Any]:
    return {"changed": int(flags.sum()), "changed_share": share(flags)}


def comparable(one: Signature, other: Signature) -> str:
    """Why the same rows cannot be asked of both, or nothing."""
    names: Sequence[list[tuple[str, str]]] = [[(c.name, c.dtype) for c in s.columns] for s in (one, other)]
    if names[0] != names[1]:
        return "they take other columns, so no rows can be asked of both"
    asked: Sequence[list[tuple[str, str]]] = [[(c.name, c.dtype) for c in s.parameters] for s in (one, other)]
    if asked[0] != asked[1]:
        return "they take other parameters, so they cannot be asked the same"
    if one.output.kind != other.output.kind:
        return f"one answers {one.output.kind}, the other {other.output.kind}"
    if [o.name for o in one.output.outputs] != [o.name for o in other.output.outputs]:
        return "they have other outputs, so their answers cannot be set side by side"
    return ""
