"""Values that a publisher lets columns take although the sample has none: null, and text for numbers."""

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

#: The number of rows that are asked together with one that has a missing value, to see whether it changes
#: their answers.
BESIDE_ROWS = 64


def with_wishes(draft: Record, nullable: Sequence[str], *, coerce: bool) -> Record:
    """The draft whose columns take null, and text for numbers, where the publisher wants that."""
    signature = draft.manifest.signature
    if unknown := sorted(set(nullable) - {c.name for c in signature.columns}):
        raise PublishError(f"there is no column {', '.join(unknown)} that could take null")
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
    """Raises PublishError where the model fails on a missing value, or where one changes the answers to other
    rows.

    pandas and NumPy have no missing integer or boolean: one null gives the whole column another type.
    """
    rows = rows[:BESIDE_ROWS]
    holed = rows[:1].copy()
    holed[0, [c.name for c in signature.columns].index(name)] = np.nan if rows.dtype == np.float64 else None
    together = np.concatenate((rows, holed))
    if not (is_answered(holed) and is_answered(together)):
        raise PublishError(
            f"the model fails when {name!r} is missing; train it with missing values, or with an imputer before it"
        )
    beside = runtime.predict(together, parameters).rows(0, len(rows))
    if not same_answers(runtime.predict(rows, parameters), beside):
        raise PublishError(
            f"the model answers rows otherwise when {name!r} is missing in a row beside them, since integers and "
            "booleans then become another type; train it with missing values in that column, or with a dtype that has "
            "them, such as Int64 or boolean"
        )
