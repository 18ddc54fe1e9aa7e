"""Answers by the names that a signature gives them: as members of a reply, and output by output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from models.outputs import Outputs
from models.signature import Output

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
