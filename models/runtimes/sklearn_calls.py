"""Calls of a scikit-learn estimator with the least work that gives the same answer.

Two things cost time without changing an answer: separate calls for labels and probabilities, and the checks
around the computation itself (``sklearn_bodies``). The runtime compares ``shorter`` with ``plain`` on golden
rows, bit for bit, before it uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from models.outputs import Outputs
from models.runtimes.arrays import READERS, chances, floats
from models.runtimes.methods import bound_method, score_of
from models.runtimes.sklearn_bodies import body_of
from models.runtimes.sklearn_names import public_name
from models.signature import Output

#: A function from X of n_rows rows, array or DataFrame, to the answers.
Call = Callable[[Any], Outputs]

#: Classifiers whose label is the class of the largest probability, by the same comparison of the same numbers
#: (ties included). Only these types themselves: a subclass may define another label.
LARGEST_IS_LABEL = frozenset(
    {
        "sklearn.ensemble.ExtraTreesClassifier",
        "sklearn.ensemble.RandomForestClassifier",
        "sklearn.tree.DecisionTreeClassifier",
    }
)
#: Classifiers for which that holds too, but which compare before the probabilities are rounded.
LARGEST_BUT_FOR_TIES = frozenset(
    {
        "sklearn.ensemble.GradientBoostingClassifier",
        "sklearn.ensemble.HistGradientBoostingClassifier",
        "sklearn.linear_model.LogisticRegression",
        "sklearn.naive_bayes.GaussianNB",
        "sklearn.neural_network.MLPClassifier",
    }
)

#: Two probabilities this close may have the other order before they are rounded. The estimator then answers
#: itself.
TIE = 1e-9


def plain(model: Any, output: Output) -> Call:
    """Return the full call: the output's method, ``predict_proba`` if the signature has probabilities, and
    the scores.
    """
    predict, read = bound_method(model, output.method, output.arguments), READERS[output.kind]
    chances_of = bound_method(model, "predict_proba") if output.probability else None
    score_methods = [score_of(model, score.name) for score in output.scores]

    def call(X: Any) -> Outputs:
        values = read(predict(X), output)
        probabilities = chances(chances_of(X), output) if chances_of else None
        scores = (
            np.concatenate([floats(score(X)) for score in score_methods], axis=1) if score_methods else None
        )
        return Outputs(values, probabilities, scores)

    return call


def shorter(model: Any, output: Output) -> Call | None:
    """Return a call with less work; None for estimators without a known one."""
    if output.kind not in ("number", "class") or output.method != "predict":
        return None
    if output.arguments or output.scores:
        return None
    steps, final = parts(model)
    transforms = [body_of(step, "transform") or step.transform for step in steps]
    if output.probability:
        answer = _classifier(final)
    else:
        values = None if hasattr(final, "classes_") else body_of(final, "predict")
        answer = None if values is None else (lambda X: Outputs(values(X)))
    return None if answer is None else _after(transforms, answer)


def _classifier(model: Any) -> Call | None:
    """Return a call that takes labels from the largest probabilities."""
    name = public_name(type(model))
    exact = name in LARGEST_IS_LABEL
    if not (exact or name in LARGEST_BUT_FOR_TIES) or not isinstance(model.classes_, np.ndarray):
        return None
    if len(model.classes_) < 2:  # some then return one column that is not the class's probability
        return None
    probabilities = body_of(model, "predict_proba") or model.predict_proba
    classes = model.classes_

    def call(X: Any) -> Outputs:
        class_chances = np.asarray(probabilities(X), dtype=np.float64)
        labels = classes[class_chances.argmax(axis=1)]
        if not exact and class_chances.shape[1] > 1:
            ordered = np.sort(class_chances, axis=1)
            tied = ordered[:, -1] - ordered[:, -2] <= TIE
            if tied.any():
                labels[tied] = np.asarray(model.predict(X))[tied]
        return Outputs(labels, class_chances)

    return call


def same_bits(one: Outputs, other: Outputs) -> bool:
    """Return whether two answers are the same in every bit."""
    return all(
        a is b
        or (
            a is not None
            and b is not None
            and a.dtype == b.dtype
            and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        )
        for a, b in zip(one.arrays, other.arrays, strict=True)
    )


def parts(model: Any) -> tuple[Sequence[Any], Any]:
    """Return the transformers of a pipeline and its last step; any other estimator is its own last step."""
    if public_name(type(model)) != "sklearn.pipeline.Pipeline" or model.memory is not None:
        return (), model
    *steps, (_, final) = model.steps
    return [step for _, step in steps if step is not None and step != "passthrough"], final


def _after(transforms: Sequence[Callable[[Any], Any]], call: Call) -> Call:
    """Return the call with the transformers applied to X first."""
    if not transforms:
        return call

    def transformed(X: Any) -> Outputs:
        for transform in transforms:
            X = transform(X)
        return call(X)

    return transformed
