"""What a fitted estimator answers: the output that its signature declares."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.errors import PublishError, WrongCount
from models.signature import Output

#: Enough to see what is answered, and few enough for a slow model.
TRIED_ROWS = 64
#: A second size, so that what always answers the same number is found out.
FEW_ROWS = 2


def infer_output(model: Any, X: Any, method: str | None = None) -> Output:
    """What ``method`` answers, by default ``predict``.

    X : rows in the container that the estimator takes: array, DataFrame, list, sparse matrix; best 3 or more.
    Raises WrongCount when the model does not answer row by row, PublishError for answers that cannot be declared.
    """
    classes = getattr(model, "classes_", None)
    ask = getattr(model, method or "predict")
    for n in sorted({min(row_count(X), n) for n in (FEW_ROWS, TRIED_ROWS)}, reverse=True):
        answer = np.asarray(ask(first_rows(X, n)))
        check_count(answer, n)
    if classes is not None:
        if not isinstance(classes, np.ndarray) or classes.ndim != 1 or answer.ndim != 1:
            raise PublishError(
                "a classifier with several outputs cannot be served; publish one model an output"
            )
        if not {type(label) for label in classes.tolist()} <= {int, float, str, bool}:
            raise PublishError(
                f"labels of type {classes.dtype} cannot be JSON; train with numbers, text or booleans"
            )
        probability = callable(getattr(model, "predict_proba", None))
        return Output("class", classes=tuple(classes.tolist()), probability=probability)
    if answer.dtype.kind not in "fiu" or answer.ndim not in (1, 2):
        raise PublishError(
            f"predict() gives {answer.dtype} of shape {answer.shape}; declare a signature for it"
        )
    return Output("number") if answer.ndim == 1 else Output("vector", size=int(answer.shape[1]))


def check_count(answer: np.ndarray, n_rows: int) -> None:
    """Raises WrongCount unless there is one answer for each row."""
    found = len(answer) if answer.ndim else None
    if found == n_rows:
        return
    values = "a single value" if found is None else f"{found} value{'' if found == 1 else 's'}"
    raise WrongCount(
        f"the model answers {values} for {n_rows} row{'' if n_rows == 1 else 's'}: it does not answer row by row; give the "
        "sample in the form that the model was fitted on: a model of texts takes a list of texts or one column of a "
        "DataFrame, df['text'] and not df[['text']]"
    )


def row_count(X: Any) -> int:
    """How many rows a container has: a sparse matrix has no length."""
    return int(X.shape[0]) if hasattr(X, "shape") else len(X)


def first_rows(X: Any, n: int) -> Any:
    """The first rows of an array, a list, a frame or series of pandas or polars, or a sparse matrix."""
    if hasattr(X, "iloc"):
        return X.iloc[:n]
    return X.tocsr()[:n] if hasattr(X, "tocsr") else X[:n]
