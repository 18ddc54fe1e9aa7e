"""The output of a fitted estimator, inferred from its answers to a sample."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from models.errors import PublishError, PublishWarning, WrongCount
from models.runtimes.arrays import chances, dense, labels
from models.runtimes.methods import Method, bound_method, last_step, method_of, score_of
from models.signature import Output

#: Rows of a sample that are tried: enough to recognise the output, few enough for a slow model.
TRIED_ROWS = 64
#: Rows of a second call, which exposes a model that always gives the same number of answers.
FEW_ROWS = 2


def infer_output(
    model: Any,
    X: Any,
    method: str | None = None,
    *,
    arguments: Mapping[str, Any] | None = None,
    scores: Sequence[str] = (),
    names: Sequence[str] = (),
) -> Output:
    """Return the output of ``method`` called with ``arguments``; by default, the first of METHODS that the
    model has.

    X: at least 3 rows in the container that the estimator takes: array, DataFrame, list, sparse matrix.
    scores: additions to a reply, of SCORES.
    names: those of several outputs, or of a vector's components.

    Raises WrongCount if the model does not answer row by row, PublishError for answers that cannot be
    declared.
    """
    method = method_of(model, method)
    answer = _tried(bound_method(model, method, arguments), X)
    output = _labelled(model, answer, names) if method == "predict" else None
    if output is None:
        output = _numbers(answer, f"{method}()", names or _components(model, method))
    if len(names) > 1 and len(names) != output.width:
        raise PublishError(
            f"{len(names)} outputs are named ({', '.join(names)}), the model answers {output.width} a row"
        )
    return replace(
        output,
        probability=bool(output.with_classes) and _has_probabilities(model, first_rows(X, FEW_ROWS), output),
        scores=tuple(_score(model, X, name) for name in dict.fromkeys(scores)),
        method=method,
        arguments=dict(arguments or {}),
    )


def check_count(answer: np.ndarray, n_rows: int) -> None:
    """Validate that each row has one answer; raises WrongCount."""
    n_answers = len(answer) if answer.ndim else None
    if n_answers == n_rows:
        return
    values = "a single value" if n_answers is None else f"{n_answers} value{'' if n_answers == 1 else 's'}"
    raise WrongCount(
        f"the model answers {values} for {n_rows} row{'' if n_rows == 1 else 's'}: it does not answer row "
        "by row; give the sample in the form that the model was fitted on: a model of texts takes a list "
        "of texts or one column of a DataFrame, df['text'] and not df[['text']]"
    )


def row_count(X: Any) -> int:
    """Return the number of rows in a container. A sparse matrix has no length."""
    return int(X.shape[0]) if hasattr(X, "shape") else len(X)


def first_rows(X: Any, n: int) -> Any:
    """Return the first rows of an array, a list, a frame or series of pandas or polars, or a sparse
    matrix.
    """
    if hasattr(X, "iloc"):
        return X.iloc[:n]
    return X.tocsr()[:n] if hasattr(X, "tocsr") else X[:n]


def _tried(call: Method, X: Any) -> np.ndarray:
    """Return the answers to the first rows. Two rows are answered on their own as well."""
    n_rows = row_count(X)
    few = min(n_rows, FEW_ROWS)
    raw_answers = call(first_rows(X, TRIED_ROWS))
    if (
        isinstance(raw_answers, list)
        and raw_answers
        and all(isinstance(one, np.ndarray) and one.ndim == 2 for one in raw_answers)
    ):
        raise PublishError(
            "it gives one array for each output; predict() answers all of them, each with its probabilities"
        )
    check_count(answer := dense(raw_answers), min(n_rows, TRIED_ROWS))
    check_count(dense(call(first_rows(X, few))), few)
    return answer


def _labelled(model: Any, answer: np.ndarray, names: Sequence[str]) -> Output | None:
    """Return the output of a classifier; None for a model whose answers are not classes that it records."""
    known = _classes(model)
    if known and isinstance(known[0], tuple):
        if answer.ndim != 2 or answer.shape[1] != len(known):
            return None
        return _several(names, known)
    if known and answer.ndim == 2 and answer.shape[1] > 1:
        # An indicator tells for each label whether a row has it. The model's classes are then the labels
        # themselves, or missing.
        values = sorted(set(answer.ravel().tolist()))
        if not set(values) <= {0, 1}:
            return None
        classes: tuple[Any, ...] = (False, True) if answer.dtype.kind == "b" else (0, 1)
        return _several(names, [classes] * answer.shape[1])
    output = Output("class", classes=known)
    answer_labels = labels(answer, output) if known else answer
    return (
        output
        if known and answer_labels.ndim == 1 and _typed(answer_labels.tolist()) <= _typed(known)
        else None
    )


def _several(names: Sequence[str], classes: Sequence[tuple[Any, ...]]) -> Output:
    width = len(str(len(classes) - 1))
    own = names if len(names) == len(classes) else [f"y{i:0{width}d}" for i in range(len(classes))]
    outputs = (Output("class", name=str(n), classes=c) for n, c in zip(own, classes, strict=True))
    return Output("several", outputs=tuple(outputs))


def _classes(model: Any) -> tuple[Any, ...]:
    """Return the labels of a classifier, or a tuple of them for each of several outputs; empty if none are
    recorded.
    """
    recorded = getattr(model, "classes_", None)
    if recorded is None:
        return ()
    if len(recorded) and isinstance(recorded[0], (np.ndarray, list, tuple)):
        return tuple(_json_labels(dense(one)) for one in recorded)
    # Neighbours within a radius: the label of a row without neighbours is not a class, and has no
    # probability.
    outliers = [
        label for label in getattr(last_step(model), "outlier_label_", None) or () if label is not None
    ]
    known = _json_labels(dense(recorded))
    return known + tuple(label for label in _json_labels(dense(outliers)) if label not in known)


def _json_labels(classes: np.ndarray) -> tuple[Any, ...]:
    labels = tuple(classes.tolist())
    fit = {type(label) for label in labels} <= {int, float, str, bool} and classes.dtype.kind not in "mM"
    if not fit:
        raise PublishError(
            f"labels of type {classes.dtype} cannot be JSON; train with numbers, text or booleans, such "
            "as y.astype(str)"
        )
    if not all(math.isfinite(label) for label in labels if type(label) is float):
        raise PublishError("NaN or Infinity is a label; JSON has no such number, train without such rows")
    return labels


def _typed(labels: Sequence[Any]) -> set[tuple[type, Any]]:
    return {(type(label), label) for label in labels}


def _numbers(answer: np.ndarray, source: str, components: Sequence[str]) -> Output:
    if answer.dtype.kind not in "fiu" or answer.ndim not in (1, 2):
        raise PublishError(
            f"{source} gives {answer.dtype} of shape {answer.shape}; declare a signature for it"
        )
    if answer.ndim == 1:
        return Output("number")
    fit = len(components) == answer.shape[1] and len(set(components)) == len(components)
    return Output("vector", size=int(answer.shape[1]), components=tuple(components) if fit else ())


def _components(model: Any, method: str) -> list[str]:
    """Return the names of a vector's components; empty if the model does not name them."""
    if method == "transform":
        try:
            return [str(name) for name in model.get_feature_names_out()]
        except Exception:  # a step lacks the method, or needs the names of its inputs
            return []
    if method in ("predict_proba", "decision_function"):
        return [str(label) for label in getattr(model, "classes_", ())]
    return []


def _has_probabilities(model: Any, X: Any, output: Output) -> bool:
    if not callable(getattr(model, "predict_proba", None)):
        return False
    try:
        probabilities = chances(bound_method(model, "predict_proba")(X), output)
        n_labels = sum(len(one.classes) for one in output.with_classes)
        fault = (
            ""
            if probabilities.min() >= 0.0 and probabilities.max() <= 1.0
            else "gives values outside of 0 to 1"
        )
        if probabilities.shape[1] != n_labels:
            fault = f"gives {probabilities.shape[1]} numbers a row for {n_labels} labels"
    except Exception as error:  # a model's code may raise anything; labels do not depend on it
        fault = f"fails ({type(error).__name__}: {error})"
    if fault:
        warnings.warn(
            f"predict_proba() {fault}, so replies have no probability", PublishWarning, stacklevel=2
        )
    return not fault


def _score(model: Any, X: Any, name: str) -> Output:
    return replace(_numbers(_tried(score_of(model, name), X), name, _components(model, name)), name=name)
