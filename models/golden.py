"""Golden rows: inputs with their recorded answers, which verify that a loaded version still answers the
same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from models.outputs import Outputs
from models.runtime import Runtime
from models.sameness import ABSOLUTE_TOLERANCE, same_answers
from models.signature import Column, Signature

GOLDEN = "golden.json"
AT_LEAST = 32
AT_MOST = 64
#: Relative sizes of the change to a number of a made-up row, in the order in which they are tried.
VARIATIONS = (0.1, 0.01, 0.0)


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class GoldenRows:
    """The golden rows of a version."""

    #: ndarray of shape (n_rows, n_columns).
    rows: np.ndarray
    #: The parameters of the call.
    parameters: Mapping[str, Any]
    #: The recorded answers to all rows.
    outputs: Outputs

    def to_bytes(self) -> bytes:
        """Return the rows as JSON. Floats keep every bit; NaN in an input becomes null."""
        return orjson.dumps(
            {
                "rows": [[None if c is None or c != c else c for c in row] for row in self.rows.tolist()],
                "parameters": dict(self.parameters),
                **self.outputs.to_lists(),
            },
            option=orjson.OPT_SERIALIZE_NUMPY,
        )

    @classmethod
    def from_bytes(cls, raw: bytes, signature: Signature) -> GoldenRows:
        """Return the golden rows that ``to_bytes`` wrote for a version with this signature."""
        data = orjson.loads(raw)
        rows = np.array(data["rows"], dtype=object)
        outputs = Outputs.of_lists(data, signature.output)
        return cls(rows.astype(np.float64) if signature.numeric else rows, data["parameters"], outputs)

    def holds(self, runtime: Runtime, tolerance: float = ABSOLUTE_TOLERANCE) -> bool:
        """Return whether the runtime gives the recorded answers, within the tolerance of a compiled form."""
        return same_answers(self.outputs, runtime.predict(self.rows, self.parameters), tolerance)


def choose_rows(
    signature: Signature,
    rows: np.ndarray,
    is_answered: Callable[[np.ndarray], bool] = lambda rows: True,
    seed: int = 0,
) -> tuple[np.ndarray, bool]:
    """Choose 32 to 64 of the given rows, the first one among them; seeded variations fill up what is missing.

    ``is_answered`` tells whether the model answers all of some rows. A variation that the model does not
    answer, such as a negative number under a root, is replaced by a smaller one, and in the end by its
    original row.

    Returns the rows and whether any of them is made up.
    """
    rng = np.random.default_rng(seed)
    if len(rows) >= AT_LEAST:
        chosen = rng.permutation(np.arange(1, len(rows)))[: AT_MOST - 1]
        return rows[np.concatenate(([0], np.sort(chosen)))], False
    origins = [rows[rng.integers(len(rows))].tolist() for _ in range(AT_LEAST - len(rows))]
    made = np.empty((len(origins), rows.shape[1]), dtype=rows.dtype)
    for i, origin in enumerate(origins):
        made[i] = _vary(signature.columns, origin, rows, rng, VARIATIONS[0])
    if not is_answered(made):
        for i, origin in enumerate(origins):
            for size in VARIATIONS[1:]:
                if is_answered(made[i : i + 1]):
                    break
                made[i] = _vary(signature.columns, origin, rows, rng, size)
            else:
                if not is_answered(made[i : i + 1]):
                    made[i] = origin
    return np.concatenate((rows, made)), True


def _vary(
    columns: tuple[Column, ...], origin: list[Any], rows: np.ndarray, rng: np.random.Generator, size: float
) -> list[Any]:
    """Return a row like ``origin`` whose numbers differ by about the relative ``size``."""
    row = list(origin)
    for j, column in enumerate(columns):
        if column.values:
            row[j] = column.values[rng.integers(len(column.values))] if size else origin[j]
        elif column.dtype in ("float", "int") and row[j] is not None:
            value = row[j] + rng.normal() * size * (abs(row[j]) or 1.0)
            low = -np.inf if column.minimum is None else column.minimum
            high = np.inf if column.maximum is None else column.maximum
            value = min(max(value, low), high)
            row[j] = round(value) if column.dtype == "int" and value == value else float(value)
        else:
            row[j] = rows[rng.integers(len(rows)), j]
    return row
