"""What a runtime is: something that loads one version, answers rows, and lets go of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from models.manifest import Artifact
from models.outputs import Outputs


class Runtime(Protocol):
    """One version of one model. The constructor stores, ``load`` acts, ``close`` undoes."""

    def load(self) -> None:
        """Bring the model into memory; raises LoadError."""

    def predict(self, rows: np.ndarray, parameters: Mapping[str, Any]) -> Outputs:
        """Answer rows of shape (n_rows, n_columns), float64 or object as the signature says.

        Raises InputError for values that only the model can judge, PredictError for anything else.
        """

    def close(self) -> None:
        """Release the model's memory."""


class ToyRuntime:
    """A runtime for tests: answers the sum of each row, counts its calls, and fails when told to."""

    def __init__(self, artifact: Artifact | None = None, *, failure: Exception | None = None) -> None:
        self.artifact = artifact
        self.failure = failure
        self.loads = self.calls = self.closes = 0

    def load(self) -> None:
        """Count, or raise the failure."""
        self.loads += 1
        if self.failure is not None:
            raise self.failure

    def predict(self, rows: np.ndarray, parameters: Mapping[str, Any]) -> Outputs:
        """The sum of each row, float64 of shape (n_rows,)."""
        self.calls += 1
        return Outputs(np.asarray(rows, dtype=np.float64).sum(axis=1))

    def close(self) -> None:
        """Count."""
        self.closes += 1
