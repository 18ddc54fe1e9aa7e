"""What a fitted estimator answers: the output that its signature declares, judged by its answers to a
sample.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from models.errors import PublishError, PublishWarning, WrongCount
from models.runtimes.arrays import chances, dense, labels
from models.runtimes.methods import Method, asked, last_step, method_of, score_of
from models.signature import Output

#: Enough to see what is answered, and few enough for a slow model.
TRIED_ROWS = 64
#: A second size, so that what always answers the same number is found out.
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
    """What ``method`` answers when it is called with ``arguments``: by default the first of METHODS that the
    model has.

    X: rows in the container that the estimator takes: array, DataFrame, list, sparse matrix; best 3 or more.
    scores: what a reply has beside the prediction, of SCORES. names : those of several outputs, or of a
    vector's numbers. Raises WrongCount when the model does not answer row by row, PublishError for answers
    that cannot be declared.
    """
    method = method_of(model, method)
    answer = _tried(asked(model, method, arguments), X)
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


def _tried(ask: Method, X: Any) -> np.ndarray:
    """The answers to the first rows; two of them alone are asked as well."""
    n_rows = row_count(X)
    few = min(n_rows, FEW_ROWS)
    given = ask(first_rows(X, TRIED_ROWS))
    if (
        isinstance(given, list)
        and given
        and all(isinstance(one, np.ndarray) and one.ndim == 2 for one in given)
    ):
        raise PublishError(
            "it gives an array for each of several outputs; predict() answers all of them, each with its probabilities"
        )
    check_count(answer := dense(given), min(n_rows, TRIED_ROWS))
    check_count(dense(ask(first_rows(X, few))), few)
    return answer


def _labelled(model: Any, answer: np.ndarray, names: Sequence[str]) -> Output | None:
    """The output of a classifier, or None for a model that does not answer with classes that it knows."""
    known = _classes(model)
    if known and isinstance(known[0], tuple):
        if answer.ndim != 2 or answer.shape[1] != len(known):
            return None
        return _several(names, known)
    if known and answer.ndim == 2 and answer.shape[1] > 1:
        # An indicator: for each label whether a row has it. The model's classes are then the labels
        # themselves, or nothing.
        found = sorted(set(answer.ravel().tolist()))
        if not set(found) <= {0, 1}:
            return None
        each: tuple[Any, ...] = (False, True) if answer.dtype.kind == "b" else (0, 1)
        return _several(names, [each] * answer.shape[1])
    output = Output("class", classes=known)
    given = labels(answer, output) if known else answer
    return output if known and given.ndim == 1 and _typed(given.tolist()) <= _typed(known) else None


def _several(names: Sequence[str], classes: Sequence[tuple[Any, ...]]) -> Output:
    width = len(str(len(classes) - 1))
    own = names if len(names) == len(classes) else [f"y{i:0{width}d}" for i in range(len(classes))]
    outputs = (Output("class", name=str(n), classes=c) for n, c in zip(own, classes, strict=True))
    return Output("several", outputs=tuple(outputs))


def _classes(model: Any) -> tuple[Any, ...]:
    """The labels that a classifier knows, or a tuple of them for each of several outputs; empty where it
    records none.
    """
    recorded = getattr(model, "classes_", None)
    if recorded is None:
        return ()
    if len(recorded) and isinstance(recorded[0], (np.ndarray, list, tuple)):
        return tuple(_json_labels(dense(one)) for one in recorded)
    # Neighbours within a radius: the label of who has none is no class, and has no probability.
    outliers = [
        label for label in getattr(last_step(model), "outlier_label_", None) or () if label is not None
    ]
    known = _json_labels(dense(recorded))
    return known + tuple(label for label in _json_labels(dense(outliers)) if label not in known)


def _json_labels(classes: np.ndarray) -> tuple[Any, ...]:
    found = tuple(classes.tolist())
    fit = {type(label) for label in found} <= {int, float, str, bool} and classes.dtype.kind not in "mM"
    if not fit:
        raise PublishError(
            f"labels of type {classes.dtype} cannot be JSON; train with numbers, text or booleans, such as y.astype(str)"
        )
    if not all(math.isfinite(label) for label in found if type(label) is float):
        raise PublishError("NaN or Infinity is a label; JSON has no such number, train without such rows")
    return found


def _typed(labels: Sequence[Any]) -> set[tuple[type, Any]]:
    return {(type(label), label) for label in labels}


def _numbers(answer: np.ndarray, asked: str, components: Sequence[str]) -> Output:
    if answer.dtype.kind not in "fiu" or answer.ndim not in (1, 2):
        raise PublishError(
            f"{asked} gives {answer.dtype} of shape {answer.shape}; declare a signature for it"
        )
    if answer.ndim == 1:
        return Output("number")
    fit = len(components) == answer.shape[1] and len(set(components)) == len(components)
    return Output("vector", size=int(answer.shape[1]), components=tuple(components) if fit else ())


def _components(model: Any, method: str) -> list[str]:
    """What the numbers of a vector are called; empty where the model does not say."""
    if method == "transform":
        try:
            return [str(name) for name in model.get_feature_names_out()]
        except Exception:  # a step without the method, or one that wants the names of its inputs
            return []
    if method in ("predict_proba", "decision_function"):
        return [str(label) for label in getattr(model, "classes_", ())]
    return []


def _has_probabilities(model: Any, X: Any, output: Output) -> bool:
    if not callable(getattr(model, "predict_proba", None)):
        return False
    try:
        found = chances(asked(model, "predict_proba")(X), output)
        n_labels = sum(len(one.classes) for one in output.with_classes)
        why = "" if found.min() >= 0.0 and found.max() <= 1.0 else "gives what lies outside of 0 to 1"
        if found.shape[1] != n_labels:
            why = f"gives {found.shape[1]} numbers a row for {n_labels} labels"
    except Exception as error:  # foreign code; the labels are answered all the same
        why = f"fails ({type(error).__name__}: {error})"
    if why:
        warnings.warn(f"predict_proba() {why}, so replies have no probability", PublishWarning, stacklevel=2)
    return not why


def _score(model: Any, X: Any, name: str) -> Output:
    return replace(_numbers(_tried(score_of(model, name), X), name, _components(model, name)), name=name)
