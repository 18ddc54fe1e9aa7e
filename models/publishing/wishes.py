"""Values that a publisher allows although the sample has none: null, and text for numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from models.errors import PublishError
from models.record import Record
from models.runtime import Runtime
from models.sameness import same_answers
from models.signature import Signature

#: The number of rows in a call with a row that has a missing value, which must not change their answers.
BESIDE_ROWS = 64


def with_wishes(draft: Record, nullable: Sequence[str], *, coerce: bool) -> Record:
    """Return the draft with columns that accept null, and text for numbers, as the publisher wants."""
    signature = draft.manifest.signature
    if unknown := sorted(set(nullable) - {c.name for c in signature.columns}):
        raise PublishError(f"there is no column {', '.join(unknown)} to make nullable")
    columns = tuple(replace(c, nullable=c.nullable or c.name in nullable) for c in signature.columns)
    signature = replace(signature, columns=columns, coerce=signature.coerce or coerce)
    return replace(draft, manifest=replace(draft.manifest, signature=signature))


def check_nullable(
    runtime: Runtime,
    signature: Signature,
    name: str,
    rows: np.ndarray,
    parameters: Mapping[str, Any],
    is_answered: Callable[[np.ndarray], bool],
) -> None:
    """Verify that the model handles a missing value without changing the answers to other rows.

    pandas and NumPy have no missing integer or boolean: one null gives the whole column another type. Raises
    PublishError.
    """
    rows = rows[:BESIDE_ROWS]
    row_with_null = rows[:1].copy()
    row_with_null[0, [c.name for c in signature.columns].index(name)] = (
        np.nan if rows.dtype == np.float64 else None
    )
    together = np.concatenate((rows, row_with_null))
    if not (is_answered(row_with_null) and is_answered(together)):
        raise PublishError(
            f"the model fails when {name!r} is missing; train it with missing values, or with an imputer "
            "before it"
        )
    answers = runtime.predict(together, parameters).rows(0, len(rows))
    if not same_answers(runtime.predict(rows, parameters), answers):
        raise PublishError(
            f"the model answers rows differently when {name!r} is missing in another row of the call, "
            "since integers and booleans then become another type; train it with missing values in that "
            "column, or with a dtype that has them, such as Int64 or boolean"
        )
