"""What a runtime is: something that loads one version, answers rows, and lets go of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

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
