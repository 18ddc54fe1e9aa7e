"""The answers of a model: cut and joined by rows without knowing the model, and listed by the signature's names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.signature import Output


@dataclass(slots=True, eq=False)
class Outputs:
    """The answers for n_rows rows.

    values: ndarray of shape (n_rows,) with numbers or labels; (n_rows, size) for a vector; (n_rows, n_outputs) for
        several outputs, of dtype object if their labels are of several types; or (n_rows,) of dtype object holding one list
        of dicts a row for records.
    probabilities: ndarray of shape (n_rows, n_classes), float64, in the order of the signature's classes, those of several
        outputs side by side; or None.
    scores: ndarray of shape (n_rows, width), float64, the signature's scores side by side; or None.
    """

    values: np.ndarray
    probabilities: np.ndarray | None = None
    scores: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def arrays(self) -> tuple[np.ndarray | None, ...]:
        """Everything that was answered."""
        return self.values, self.probabilities, self.scores

    def rows(self, start: int, stop: int) -> Outputs:
        """The answers of rows start .. stop - 1, as views."""
        probabilities = None if self.probabilities is None else self.probabilities[start:stop]
        scores = None if self.scores is None else self.scores[start:stop]
        return Outputs(self.values[start:stop], probabilities, scores)

    def to_lists(self) -> dict[str, list[Any]]:
        """``values``, and ``probabilities`` and ``scores`` where there are any, as JSON data, exact for float64."""
        found: dict[str, list[Any]] = {"values": self.values.tolist()}
        if self.probabilities is not None:
            found["probabilities"] = self.probabilities.tolist()
        if self.scores is not None:
            found["scores"] = self.scores.tolist()
        return found

    @classmethod
    def of_lists(cls, lists: Mapping[str, Any], output: Output) -> Outputs:
        """The answers that ``to_lists`` wrote, of the declared output."""
        if output.kind == "records":
            return cls.of_records(lists["values"])
        values = array_of(lists["values"])
        others = (lists.get("probabilities"), lists.get("scores"))
        return cls(
            values, *(None if other is None else np.array(other, dtype=np.float64) for other in others)
        )

    @classmethod
    def joined(cls, parts: Sequence[Outputs]) -> Outputs:
        """The answers of several calls of the same model, one behind the other."""
        values, *others = zip(*(part.arrays for part in parts), strict=True)
        return cls(np.concatenate(values), *(np.concatenate(o) if o[0] is not None else None for o in others))

    @classmethod
    def of_records(cls, records: Sequence[Sequence[dict[str, Any]]]) -> Outputs:
        """records : one list of dicts for each row."""
        values = np.empty(len(records), dtype=object)
        for i, of_row in enumerate(records):
            values[i] = list(of_row)
        return cls(values)


def array_of(values: Any) -> np.ndarray:
    """A list of numbers or labels, or of lists of them, as an array. NumPy would make text of numbers beside text, and
    numbers of booleans beside numbers."""
    array = np.asarray(values)
    mixed = array.dtype.kind in "US" or (
        array.dtype.kind in "iuf" and array.ndim == 1 and any(type(value) is bool for value in values)
    )
    if mixed:
        objects = np.array(values, dtype=object)
        if len(set(map(type, objects.flat))) > 1:
            return objects
    return array


#: The predictions, probabilities and scores, each a list with a JSON value for each row, or None where there are none.
Lists = tuple[list[Any], list[Any] | None, list[Any] | None]


def lists(output: Output, outputs: Outputs) -> Lists:
    """The answers as JSON values, those of several outputs and scores by name."""
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
    """``prediction``, and ``probability`` and ``scores`` where there are any: each a list with a JSON value for each row."""
    found = zip(("prediction", "probability", "scores"), lists(output, outputs), strict=True)
    return {name: of_rows for name, of_rows in found if of_rows is not None}


def one_by_one(output: Output, outputs: Outputs) -> Iterator[tuple[Output, Outputs]]:
    """Each of several outputs with its own answers; any other output with its own, without scores."""
    if output.kind != "several":
        yield output, Outputs(outputs.values, outputs.probabilities)
        return
    places = dict(_places(_widths(output)))
    for i, one in enumerate(output.outputs):
        of_all = outputs.probabilities if one.kind == "class" else None
        chances = None if of_all is None else of_all[:, places[one.name]]
        yield one, Outputs(outputs.values[:, i], chances)


def _widths(output: Output) -> Iterator[tuple[str, int]]:
    return ((one.name, len(one.classes)) for one in output.with_classes)


def _by_name(rows: list[Any], widths: Iterable[tuple[str, int | None]]) -> list[Any]:
    places = list(_places(widths))
    return [{name: row[place] for name, place in places} for row in rows]


def _places(widths: Iterable[tuple[str, int | None]]) -> Iterator[tuple[str, int | slice]]:
    """Where each part is in a row that has them side by side: a width of None is a single value."""
    start = 0
    for name, width in widths:
        yield name, start if width is None else slice(start, start + width)
        start += width or 1
