"""The answers of a model, which can be cut and joined by rows without knowing the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.signature import Output


@dataclass(slots=True, eq=False)
class Outputs:
    """A model's answers to n_rows rows."""

    #: ndarray, by the kind of the output. Numbers or labels: shape (n_rows,). A vector: (n_rows, size).
    #: Several outputs: (n_rows, n_outputs), of dtype object if their labels are of several types. Records:
    #: (n_rows,) of dtype object, one list of dicts for each row.
    values: np.ndarray
    #: float64 ndarray of shape (n_rows, n_classes) in the order of the signature's classes, those of several
    #: outputs side by side; or None.
    probabilities: np.ndarray | None = None
    #: float64 ndarray of shape (n_rows, width), the signature's scores side by side; or None.
    scores: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def arrays(self) -> tuple[np.ndarray | None, ...]:
        """The values, the probabilities and the scores."""
        return self.values, self.probabilities, self.scores

    def rows(self, start: int, stop: int) -> Outputs:
        """Return the answers to rows start .. stop - 1, as views."""
        probabilities = None if self.probabilities is None else self.probabilities[start:stop]
        scores = None if self.scores is None else self.scores[start:stop]
        return Outputs(self.values[start:stop], probabilities, scores)

    def to_lists(self) -> dict[str, list[Any]]:
        """Return ``values``, and ``probabilities`` and ``scores`` if present, as JSON data, exact for
        float64.
        """
        lists: dict[str, list[Any]] = {"values": self.values.tolist()}
        if self.probabilities is not None:
            lists["probabilities"] = self.probabilities.tolist()
        if self.scores is not None:
            lists["scores"] = self.scores.tolist()
        return lists

    @classmethod
    def of_lists(cls, lists: Mapping[str, Any], output: Output) -> Outputs:
        """Return the answers of the declared output that ``to_lists`` wrote."""
        if output.kind == "records":
            return cls.of_records(lists["values"])
        values = array_of(lists["values"])
        others = (lists.get("probabilities"), lists.get("scores"))
        return cls(
            values, *(None if other is None else np.array(other, dtype=np.float64) for other in others)
        )

    @classmethod
    def joined(cls, parts: Sequence[Outputs]) -> Outputs:
        """Return the answers of several calls of one model as one, in the order of the calls."""
        values, *others = zip(*(part.arrays for part in parts), strict=True)
        return cls(np.concatenate(values), *(np.concatenate(o) if o[0] is not None else None for o in others))

    @classmethod
    def of_records(cls, records: Sequence[Sequence[dict[str, Any]]]) -> Outputs:
        """Return answers of records: one list of dicts for each row."""
        values = np.empty(len(records), dtype=object)
        for i, row in enumerate(records):
            values[i] = list(row)
        return cls(values)


def array_of(values: Any) -> np.ndarray:
    """Return numbers or labels, or lists of them, as an array that keeps the type of every value.

    NumPy by itself turns numbers next to text into text, and booleans next to numbers into numbers.
    """
    array = np.asarray(values)
    mixed = array.dtype.kind in "US" or (
        array.dtype.kind in "iuf" and array.ndim == 1 and any(type(value) is bool for value in values)
    )
    if mixed:
        objects = np.array(values, dtype=object)
        if len(set(map(type, objects.flat))) > 1:
            return objects
    return array


#: Predictions, probabilities and scores: each a list with one JSON value for each row, or None if absent.
Lists = tuple[list[Any], list[Any] | None, list[Any] | None]


def lists(output: Output, outputs: Outputs) -> Lists:
    """Return the answers as lists of JSON values; those of several outputs and of scores are objects by
    name.
    """
    predictions = outputs.values.tolist()
    probabilities = None if outputs.probabilities is None else outputs.probabilities.tolist()
    scores = None
    if output.outputs:
        predictions = _by_name(predictions, ((one.name, None) for one in output.outputs))
        probabilities = None if probabilities is None else _by_name(probabilities, _widths(output))
    if outputs.scores is not None:
        scores = _by_name(outputs.scores.tolist(), ((score.name, score.size) for score in output.scores))
    return predictions, probabilities, scores


def members(output: Output, outputs: Outputs) -> dict[str, list[Any]]:
    """Return ``prediction``, and ``probability`` and ``scores`` if present, each a list with one JSON value
    for each row.
    """
    lists_by_member = zip(("prediction", "probability", "scores"), lists(output, outputs), strict=True)
    return {name: values for name, values in lists_by_member if values is not None}


def one_by_one(output: Output, outputs: Outputs) -> Iterator[tuple[Output, Outputs]]:
    """Yield each output with its own answers, without scores: the parts of several outputs, or the output
    itself.
    """
    if output.kind != "several":
        yield output, Outputs(outputs.values, outputs.probabilities)
        return
    places = dict(_places(_widths(output)))
    for i, one in enumerate(output.outputs):
        probabilities = outputs.probabilities if one.kind == "class" else None
        own_probabilities = None if probabilities is None else probabilities[:, places[one.name]]
        yield one, Outputs(outputs.values[:, i], own_probabilities)


def _widths(output: Output) -> Iterator[tuple[str, int]]:
    return ((one.name, len(one.classes)) for one in output.with_classes)


def _by_name(rows: list[Any], widths: Iterable[tuple[str, int | None]]) -> list[Any]:
    places = list(_places(widths))
    return [{name: row[place] for name, place in places} for row in rows]


def _places(widths: Iterable[tuple[str, int | None]]) -> Iterator[tuple[str, int | slice]]:
    """Yield the index or slice of each part of a row that has them side by side. A width of None is a single
    value.
    """
    start = 0
    for name, width in widths:
        yield name, start if width is None else slice(start, start + width)
        start += width or 1
