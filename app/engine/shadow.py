"""Shadows: after a reply, another version predicts the same rows, and the answers are compared and counted.

The queue of shadows is bounded; what does not fit is dropped and counted. A shadow costs clients nothing but
a share of the processor, and no reply contains anything of it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.concurrency.forms import Concurrency
from app.inference.messages import Answer, Observer, Prediction, Shadowed, listeners
from models.errors import PlumblineError
from models.names import Version
from models.outputs import Outputs

log = logging.getLogger("plumbline.serving")

#: The most rows that wait for their shadows.
MAX_ROWS = 4096
#: The pause before each call of a shadow, in which requests run.
PAUSE_SECONDS = 0.001
#: Two numbers agree when they differ by at most this fraction of the larger one. Labels agree when they are
#: equal.
AGREES_WITHIN = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    """The rows of an answered request that wait for a shadow."""

    shadow: Version
    target: Version
    rows: np.ndarray
    parameters: Mapping[str, Any]
    answer: Answer


class Shadows:
    """The queue of rows for shadows, and the greenlet or thread that works it off."""

    def __init__(
        self,
        ask: Callable[[Version, np.ndarray, Mapping[str, Any]], Answer],
        comparable: Callable[[Version, Version], bool],
        concurrency: Concurrency,
        observers: Sequence[Observer] = (),
    ) -> None:
        """Store the parts.

        ``ask`` answers rows of shape (n_rows, n_columns) by a version. ``comparable`` tells whether two
        versions take and return the same columns.
        """
        self._ask = ask
        self._comparable = comparable
        self._concurrency = concurrency
        self._on_shadowed = listeners(observers, "shadowed")
        self._queue: deque[_Entry] = deque()
        self._queued_rows = 0
        self._running = False

    def offer(self, shadow: Version, prediction: Prediction) -> None:
        """Queue the rows of a prediction for the shadow, or drop them when the queue is full.

        Does not wait.
        """
        ask = prediction.ask
        entry = _Entry(shadow, prediction.target, ask.rows, ask.parameters, prediction.answer)
        if self._queued_rows + len(entry.rows) > MAX_ROWS:
            self._report(entry, "dropped")
            return
        self._queue.append(entry)
        self._queued_rows += len(entry.rows)
        if not self._running:
            self._running = True
            self._concurrency.spawn(self._run)

    def _run(self) -> None:
        try:
            while self._queue:
                self._concurrency.pause(PAUSE_SECONDS)
                entry = self._queue.popleft()
                self._queued_rows -= len(entry.rows)
                self._compare(entry)
        finally:
            self._running = False

    def _compare(self, entry: _Entry) -> None:
        try:
            if not self._comparable(entry.target, entry.shadow):
                self._report(entry, "unlike")
                return
            answer = self._ask(entry.shadow, entry.rows, entry.parameters)
            agrees = agreement(entry.answer.outputs, answer.outputs).all()
        except PlumblineError:
            self._report(entry, "error")
        except Exception:  # user code may raise anything
            log.exception("the shadow %s failed", entry.shadow)
            self._report(entry, "error")
        else:
            self._report(entry, "agrees" if agrees else "differs", answer.predict_seconds)

    def _report(self, entry: _Entry, outcome: str, seconds: float | None = None) -> None:
        shadowed = Shadowed(entry.target, entry.shadow, outcome, entry.answer.predict_seconds, seconds)
        for listener in self._on_shadowed:
            listener(shadowed)


def agreement(one: Outputs, other: Outputs) -> np.ndarray:
    """Return for each row whether the two answers agree: ndarray of shape (n_rows,), dtype bool."""
    if one.values.shape != other.values.shape:
        return np.zeros(len(one), dtype=bool)
    if one.values.dtype.kind == "f" or other.values.dtype.kind == "f":
        a, b = np.asarray(one.values, dtype=float), np.asarray(other.values, dtype=float)
        close = np.abs(a - b) <= AGREES_WITHIN * np.maximum(np.abs(a), np.abs(b))
        return np.asarray(close.reshape(len(one), -1).all(axis=1))
    pairs = zip(one.values.tolist(), other.values.tolist(), strict=True)
    return np.array([a == b for a, b in pairs], dtype=bool)
