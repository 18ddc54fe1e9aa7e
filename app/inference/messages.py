"""What passes between the engine, its front ends and its observers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from app.inference.batcher import Answer
from models.names import Version


@dataclass(slots=True, eq=False)
class Prediction:
    """One answered request. ``rows`` : ndarray of shape (n_rows, n_columns)."""

    prediction_id: str
    target: Version
    rows: np.ndarray
    parameters: Mapping[str, Any]
    answer: Answer


@dataclass(frozen=True, slots=True)
class Shadowed:
    """What came of asking ``shadow`` what ``target`` had answered. ``outcome`` : agrees, differs, error, unlike (other
    columns) or dropped (too much waited); the times are those of both calls, where there were any."""

    target: Version
    shadow: Version
    outcome: str
    seconds: float
    shadow_seconds: float | None = None


class Observer(Protocol):
    """Told what happened, after it happened; must neither wait nor raise."""

    def predicted(self, prediction: Prediction) -> None:
        """A request was answered."""

    def loaded(self, target: Version, seconds: float, ready: bool) -> None:
        """A version was loaded, or could not be."""

    def shadowed(self, shadowed: Shadowed) -> None:
        """Another version was asked the same."""


class NullObserver:
    """Does nothing."""

    def predicted(self, prediction: Prediction) -> None:
        """Nothing."""

    def loaded(self, target: Version, seconds: float, ready: bool) -> None:
        """Nothing."""

    def shadowed(self, shadowed: Shadowed) -> None:
        """Nothing."""
