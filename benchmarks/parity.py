"""Does an arm give the answers of the estimator itself? Checked before anything about it is timed.

Three ways of asking, because each can go wrong alone: row by row, the same rows by many clients at once (a batcher
that hands an answer to the wrong request is right when it is asked in turn), and 16 rows a request.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from benchmarks import workload
from benchmarks.arms import Arm
from benchmarks.callers import CallFailed
from benchmarks.server_process import Running
from benchmarks.wires import Answer, BadReply
from benchmarks.workload import Parity, Rows

TOLERANCE = 1e-6
BATCH_ROWS = 16
CLIENTS = 8


@dataclass(frozen=True, slots=True)
class Verdict:
    """``wrong`` is the first difference, or empty. A floor answers no model: it is not checked."""

    arm: str
    model: str
    wrong: str = ""
    checked: bool = True
    label_only: bool = False
    batches: bool = True
    max_difference: float | None = None

    @property
    def ranked(self) -> bool:
        """Whether the arm's figures may stand beside the others'."""
        return self.checked and not self.wrong


class Different(Exception):
    """An answer that is not the estimator's."""


def check_parity(arm: Arm, server: Running) -> Verdict:
    """Ask the fixed rows of the server's model in every way that the arm has, and compare each answer."""
    if not arm.ranked:
        return Verdict(arm.name, server.model, checked=False)
    fixed = workload.parity(server.model)
    ways = {
        "row by row": _in_turn(server, fixed.rows, 1),
        f"{CLIENTS} clients at once": _at_once(server, fixed.rows),
    }
    if arm.wire.batches:
        ways[f"{BATCH_ROWS} rows a request"] = _in_turn(server, fixed.rows, BATCH_ROWS)
    wrong, largest = "", None
    for way, asked in ways.items():
        try:
            for start, stop, answer in asked:
                difference = _difference(answer, fixed, start, stop)
                largest = max(largest or 0.0, difference) if difference is not None else largest
        except (CallFailed, BadReply, Different) as error:
            wrong = f"{way}: {error}"
            break
    return Verdict(
        arm.name,
        server.model,
        wrong,
        label_only=arm.label_only,
        batches=arm.wire.batches,
        max_difference=largest,
    )


Asked = Iterator[tuple[int, int, Answer]]


def _in_turn(server: Running, rows: Rows, size: int) -> Asked:
    """(start, stop, answer) for ``size`` rows a request, one after the other."""
    with server.caller() as ask:
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            yield start, start + len(part), ask(part)


def _at_once(server: Running, rows: Rows) -> Asked:
    """The same for single rows, from several clients that do not wait for each other."""

    def client(first: int) -> list[tuple[int, int, Answer]]:
        with server.caller() as ask:
            return [(i, i + 1, ask(rows[i : i + 1])) for i in range(first, len(rows), CLIENTS)]

    with ThreadPoolExecutor(CLIENTS) as pool:
        for answers in pool.map(client, range(CLIENTS)):
            yield from answers


def _difference(answer: Answer, fixed: Parity, start: int, stop: int) -> float | None:
    """The largest difference of a probability, None without probabilities; raises Different."""
    labels = fixed.labels[start:stop]
    if len(answer.labels) != len(labels):
        raise Different(f"row {start}: {len(answer.labels)} labels for {len(labels)} rows")
    for i, (given_label, label) in enumerate(zip(answer.labels, labels, strict=True)):
        if given_label != label:
            raise Different(f"row {start + i}: label {given_label}, not {label}")
    if answer.probabilities is None:
        return None
    given = np.array(answer.probabilities, dtype=np.float64)
    expected = np.array(fixed.probabilities[start:stop])
    if given.shape != expected.shape:
        raise Different(f"row {start}: probabilities of shape {given.shape}, not {expected.shape}")
    difference = np.abs(given - expected).max(axis=1)
    if not (difference <= TOLERANCE).all():
        at = int(difference.argmax())
        raise Different(f"row {start + at}: probabilities {given[at].tolist()}, not {expected[at].tolist()}")
    return float(difference.max())
