"""Another version is asked the same, after the reply and off the caller's time, and the answers are compared and counted.

What waits is bounded, and what does not fit is dropped and counted: a shadow never costs a client anything but a share of the
processor, and nothing of it is ever in a reply.
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

#: So many rows wait at most.
MAX_ROWS = 4096
#: Before each call for a shadow requests have their turn.
PAUSE_SECONDS = 0.001
#: Numbers agree that differ by less than this part of the larger one; labels agree when they are equal.
AGREES_WITHIN = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    shadow: Version
    target: Version
    rows: np.ndarray
    parameters: Mapping[str, Any]
    answer: Answer


class Shadows:
    """``ask`` answers rows by a version; ``comparable`` tells whether two versions take and give the same columns."""

    def __init__(
        self,
        ask: Callable[[Version, np.ndarray, Mapping[str, Any]], Answer],
        comparable: Callable[[Version, Version], bool],
        concurrency: Concurrency,
        observers: Sequence[Observer] = (),
    ) -> None:
        self._ask = ask
        self._comparable = comparable
        self._concurrency = concurrency
        self._on_shadowed = listeners(observers, "shadowed")
        self._waiting: deque[_Waiting] = deque()
        self._rows = 0
        self._running = False

    def offer(self, shadow: Version, prediction: Prediction) -> None:
        """Ask the shadow what was answered, later; does not wait."""
        waiting = _Waiting(
            shadow, prediction.target, prediction.ask.rows, prediction.ask.parameters, prediction.answer
        )
        if self._rows + len(waiting.rows) > MAX_ROWS:
            self._tell(waiting, "dropped")
            return
        self._waiting.append(waiting)
        self._rows += len(waiting.rows)
        if not self._running:
            self._running = True
            self._concurrency.spawn(self._run)

    def _run(self) -> None:
        try:
            while self._waiting:
                self._concurrency.pause(PAUSE_SECONDS)
                waiting = self._waiting.popleft()
                self._rows -= len(waiting.rows)
                self._compare(waiting)
        finally:
            self._running = False

    def _compare(self, waiting: _Waiting) -> None:
        try:
            if not self._comparable(waiting.target, waiting.shadow):
                self._tell(waiting, "unlike")
                return
            answer = self._ask(waiting.shadow, waiting.rows, waiting.parameters)
            agrees = agreement(waiting.answer.outputs, answer.outputs).all()
        except PlumblineError:
            self._tell(waiting, "error")
        except Exception:  # foreign code
            log.exception("the shadow %s failed", waiting.shadow)
            self._tell(waiting, "error")
        else:
            self._tell(waiting, "agrees" if agrees else "differs", answer.predict_seconds)

    def _tell(self, waiting: _Waiting, outcome: str, seconds: float | None = None) -> None:
        told = Shadowed(waiting.target, waiting.shadow, outcome, waiting.answer.predict_seconds, seconds)
        for hear in self._on_shadowed:
            hear(told)


def agreement(one: Outputs, other: Outputs) -> np.ndarray:
    """Which rows two versions agree on: ndarray of shape (n_rows,), dtype bool."""
    if one.values.shape != other.values.shape:
        return np.zeros(len(one), dtype=bool)
    if one.values.dtype.kind == "f" or other.values.dtype.kind == "f":
        a, b = np.asarray(one.values, dtype=float), np.asarray(other.values, dtype=float)
        close = np.abs(a - b) <= AGREES_WITHIN * np.maximum(np.abs(a), np.abs(b))
        return np.asarray(close.reshape(len(one), -1).all(axis=1))
    pairs = zip(one.values.tolist(), other.values.tolist(), strict=True)
    return np.array([a == b for a, b in pairs], dtype=bool)
