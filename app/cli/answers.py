"""A model's answers in words: its output in a line, and answers as columns of a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from models.outputs import Outputs, members
from models.signature import Output

#: A vector of more numbers than this is one cell of the table.
MAX_SHOWN_NUMBERS = 20


def describe_output(output: Output) -> str:
    """Return a line about what the model answers."""
    if output.kind == "class":
        kind = f"class, one of {_some(output.classes)}"
    elif output.kind == "several":
        kind = "; ".join(f"{one.name}: {describe_output(one)}" for one in output.outputs)
    elif output.kind == "vector":
        kind = f"vector of {output.size}" + (f": {_some(output.components)}" if output.components else "")
    else:
        kind = output.kind
    probabilities = " with probabilities" if output.probability else ""
    method = f", from {output.method}()" if output.method != "predict" else ""
    scores = f"; and {_some([score.name for score in output.scores])}" if output.scores else ""
    return f"{kind}{probabilities}{method}{scores}"


def answer_columns(output: Output, outputs: Outputs) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return the names of the table columns of the answers, and a tuple of cells for each row."""
    columns = list(_columns(output, members(output, outputs)))
    return [name for name, _ in columns], list(zip(*(cells for _, cells in columns), strict=True))


def _columns(output: Output, answer_members: dict[str, list[Any]]) -> Iterator[tuple[str, list[Any]]]:
    answers = answer_members["prediction"]
    if output.kind == "several":
        yield from ((one.name, [row[one.name] for row in answers]) for one in output.outputs)
    elif 0 < len(output.components) <= MAX_SHOWN_NUMBERS:
        yield from ((name, [row[i] for row in answers]) for i, name in enumerate(output.components))
    else:
        yield "prediction", answers
    for one in output.with_classes if output.probability else ():
        own = [row[one.name] if one.name else row for row in answer_members["probability"]]
        for i, label in enumerate(one.classes):
            yield f"p({one.name}={label})" if one.name else f"p({label})", [row[i] for row in own]
    for score in output.scores:
        yield score.name, [row[score.name] for row in answer_members["scores"]]


def _some(names: Sequence[Any]) -> str:
    return ", ".join(map(str, names[:20])) + (" .." if len(names) > 20 else "")
