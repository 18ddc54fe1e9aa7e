"""What passes between the engine, its front ends and its observers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from app.serving.batcher import Answer


@dataclass(frozen=True, slots=True)
class Target:
    """The version that a request is for."""

    name: str
    version: int


@dataclass(slots=True, eq=False)
class Prediction:
    """One answered request. ``rows`` : ndarray of shape (n_rows, n_columns)."""

    prediction_id: str
    target: Target
    rows: np.ndarray
    parameters: Mapping[str, Any]
    answer: Answer


class Observer(Protocol):
    """Told what happened, after it happened; must neither wait nor raise."""

    def predicted(self, prediction: Prediction) -> None:
        """A request was answered."""

    def loaded(self, target: Target, seconds: float, ready: bool) -> None:
        """A version was loaded, or could not be."""


class NullObserver:
    """Does nothing."""

    def predicted(self, prediction: Prediction) -> None:
        """Nothing."""

    def loaded(self, target: Target, seconds: float, ready: bool) -> None:
        """Nothing."""
