"""A comparison of two versions: what they are, and on which rows, where and by how much their answers
differ.
"""

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
#: Slices of fewer rows are left out.
LEAST_ROWS = 5
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of a comparison, as JSON data."""

    versions: tuple[int, int]
    #: What the versions recorded, where it differs.
    metadata: Mapping[str, Any]
    #: How the answers differ on the rows that both versions got.
    answers: Mapping[str, Any]
    #: How right each version is; None without known outcomes.
    truth: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        document = {"versions": list(self.versions), "metadata": self.metadata, "answers": self.answers}
        return {**document, **({"truth": self.truth} if self.truth is not None else {})}


def compare(
    one: Manifest,
    other: Manifest,
    rows: np.ndarray,
    answers: tuple[Outputs, Outputs],
    truth: np.ndarray | None = None,
    *,
    show_rows: bool = True,
) -> Comparison:
    """Compare two versions by their answers to the same rows.

    ``rows``: ndarray of shape (n_rows, n_columns), in the columns of the first version's signature.
    ``answers``: those of both versions to all rows. ``truth``: the known outcomes, of shape (n_rows,).
    ``show_rows``: whether the result may contain the values of single rows.
    """
    first = Outputs(answers[0].values, answers[0].probabilities)
    answers = first, _in_order(one.signature, other.signature, answers[1])
    difference = compare_answers(one.signature, rows, *answers)
    for row in [] if show_rows else difference["rows_that_differ_most"]:
        del row["values"]
    return Comparison(
        (one.version, other.version),
        compare_metadata(one, other),
        difference,
        None if truth is None else compare_truth(one.signature, truth, *answers),
    )


def compare_metadata(one: Manifest, other: Manifest) -> dict[str, Any]:
    """Return the columns, metrics, speed and origin of two versions as pairs [first, second].

    Metrics and speed are always listed, everything else where it differs.
    """
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
    """Return on which rows, where and by how much the answers of two versions differ.

    The score of a number is the prediction, that of a class is the probability of the first version's class.
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
    document: dict[str, Any] = {
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
        document["outputs"] = {
            declared.name: _changes(own.values != others.values)
            for (declared, own), (_, others) in zip(
                one_by_one(signature.output, one), one_by_one(signature.output, other), strict=True
            )
        }
    if distance is not None and n:
        counts, edges = np.histogram(distance, bins=BINS)
        document["difference"] = {
            "mean": float(distance.mean()),
            "quantiles": {
                str(q): float(v) for q, v in zip(QUANTILES, np.quantile(distance, QUANTILES), strict=True)
            },
            "histogram": {"edges": edges.tolist(), "counts": counts.tolist()},
        }
    return document


def _in_order(one: Signature, other: Signature, outputs: Outputs) -> Outputs:
    """Return the second version's answers with each output's probabilities in the order of the first one's
    classes.

    The probabilities are dropped if the classes differ. Scores are not compared.
    """
    expected, actual = ([_typed(o.classes) for o in s.output.with_classes] for s in (one, other))
    probabilities = outputs.probabilities
    if probabilities is not None and expected != actual:
        if list(map(set, expected)) != list(map(set, actual)):
            probabilities = None
        else:
            starts = [sum(map(len, actual[:i])) for i in range(len(actual))]
            order = [
                start + labels_there.index(label)
                for start, labels, labels_there in zip(starts, expected, actual, strict=True)
                for label in labels
            ]
            probabilities = probabilities[:, order]
    return Outputs(outputs.values, probabilities)


def _typed(classes: tuple[Any, ...]) -> list[tuple[type, Any]]:
    return [(type(label), label) for label in classes]


def _labels_only(other: Outputs, one: Outputs, i: int) -> Outputs:
    """Return one prediction of the second version with the first one's probabilities.

    Probabilities that differ while the prediction is the same do not count as a change.
    """
    return Outputs(
        other.values[i : i + 1], None if one.probabilities is None else one.probabilities[i : i + 1]
    )


def _distances(output: Output, one: Outputs, other: Outputs) -> np.ndarray | None:
    """Return second minus first for each row, shape (n_rows,); None without numbers to compare.

    Of several outputs or numbers, the largest difference counts.
    """
    pairs = zip(one_by_one(output, one), one_by_one(output, other), strict=True)
    distances = [_distance(declared.kind, a, b) for (declared, a), (_, b) in pairs]
    numeric = [distance for distance in distances if distance is not None]
    return _farthest(np.column_stack(numeric)) if numeric else None


def _distance(kind: str, one: Outputs, other: Outputs) -> np.ndarray | None:
    """Return second minus first of one output; None if it has no numbers to compare."""
    if one.probabilities is not None and other.probabilities is not None:
        if one.probabilities.shape != other.probabilities.shape:
            return None
        labels = one.probabilities.argmax(axis=1)
        index = np.arange(len(labels))
        differences: np.ndarray = other.probabilities[index, labels] - one.probabilities[index, labels]
        return differences
    if (
        kind != "class"
        and one.values.dtype.kind in "fiu"
        and other.values.dtype.kind in "fiu"
        and one.values.shape == other.values.shape
    ):
        differences = (other.values.astype(float) - one.values.astype(float)).reshape(len(one), -1)
        return _farthest(differences)
    return None


def _farthest(differences: np.ndarray) -> np.ndarray:
    """Return the difference of largest size in each row of ``differences``, of shape (n_rows, width)."""
    largest: np.ndarray = differences[np.arange(len(differences)), np.abs(differences).argmax(axis=1)]
    return largest


def _slices(signature: Signature, rows: np.ndarray, changed: np.ndarray) -> list[dict[str, Any]]:
    """Return the slices in which predictions change most, with at least a few rows each.

    A slice is a value of a column, or a quarter of a numeric column with many values.
    """
    slices: list[dict[str, Any]] = []
    for j, column in enumerate(signature.columns):
        for label, inside in _parts(column, rows[:, j]):
            n = int(inside.sum())
            if n >= LEAST_ROWS and changed[inside].any():
                slices.append(
                    {
                        "column": column.name,
                        "slice": label,
                        "rows": n,
                        "changed_share": share(changed[inside]),
                    }
                )
    slices.sort(key=lambda part: (-part["changed_share"], -part["rows"]))
    return slices[:MOST_SLICES]


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
    """Return why the two versions cannot be given the same rows; empty if they can."""
    names: Sequence[list[tuple[str, str]]] = [[(c.name, c.dtype) for c in s.columns] for s in (one, other)]
    if names[0] != names[1]:
        return "they take different columns, so they cannot be given the same rows"
    parameters: Sequence[list[tuple[str, str]]] = [
        [(c.name, c.dtype) for c in s.parameters] for s in (one, other)
    ]
    if parameters[0] != parameters[1]:
        return "they take different parameters, so they cannot be called the same way"
    if one.output.kind != other.output.kind:
        return f"one answers {one.output.kind}, the other {other.output.kind}"
    if [o.name for o in one.output.outputs] != [o.name for o in other.output.outputs]:
        return "they have different outputs, so their answers cannot be compared"
    return ""
