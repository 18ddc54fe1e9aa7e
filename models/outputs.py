"""What a model answered: one value that can be cut by rows without knowing the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(slots=True, eq=False)
class Outputs:
    """The answers for n_rows rows.

    values : ndarray of shape (n_rows,) with numbers or labels, (n_rows, size) for a vector output, or (n_rows,) of
        dtype object holding one list of dicts a row for records.
    probabilities : ndarray of shape (n_rows, n_classes), float64, in the order of the signature's classes; or None.
    """

    values: np.ndarray
    probabilities: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, start: int, stop: int) -> Outputs:
        """The answers of rows start .. stop - 1, as views."""
        probabilities = None if self.probabilities is None else self.probabilities[start:stop]
        return Outputs(self.values[start:stop], probabilities)

    def to_lists(self) -> tuple[list[Any], list[list[float]] | None]:
        """Values and probabilities as JSON data, exact for float64."""
        return self.values.tolist(), None if self.probabilities is None else self.probabilities.tolist()

    @classmethod
    def joined(cls, parts: Sequence[Outputs]) -> Outputs:
        """The answers of several calls of the same model, one behind the other."""
        probabilities = [part.probabilities for part in parts if part.probabilities is not None]
        values = np.concatenate([part.values for part in parts])
        return cls(values, np.concatenate(probabilities) if probabilities else None)

    @classmethod
    def of_records(cls, records: Sequence[Sequence[dict[str, Any]]]) -> Outputs:
        """records : one list of dicts for each row."""
        values = np.empty(len(records), dtype=object)
        for i, of_row in enumerate(records):
            values[i] = list(of_row)
        return cls(values)
