"""What a fitted estimator answers: the output that its signature declares."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.errors import PublishError
from models.signature import Output


def infer_output(model: Any, X: Any) -> Output:
    """X : rows in the container that the estimator takes. Raises PublishError for answers that cannot be declared."""
    classes = getattr(model, "classes_", None)
    answer = np.asarray(model.predict(X[:2]))
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
