"""The container that an estimator is called with: found by trying, and compared with the estimator's own
answers.

The estimator's answers to the sample as it was given, in its own container and dtypes, are the reference. A
server has rows made from JSON, so the containers that can be made of them are tried until one gives the same
answers.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models.errors import PlumblineError, PublishError, PublishWarning
from models.outputs import Outputs
from models.publishing.answers import first_rows, infer_output, row_count
from models.publishing.sample import Records, Sample, target_hint
from models.record import Record
from models.runtime import Runtime
from models.runtimes import adopt
from models.runtimes.estimator_parts import FeatureNames, estimator_parts
from models.runtimes.sklearn_calls import plain
from models.sameness import FLOAT32_TOLERANCE, same_answers
from models.signature import Output

#: The sample's rows that are compared, together and one by one.
COMPARED_ROWS = 2000
#: How long rows are asked one by one; the first ones always are.
SINGLE_SECONDS = 5.0
SINGLE_ROWS = 32
#: An estimator may answer the same number whatever it is asked; fewer rows than this would not show it.
AT_LEAST_ROWS = 3

#: Packages whose estimators make floats of whatever numbers they are given, so that 1 and 1.0 are the same to
#: them.
_READ_FLOATS = frozenset({"sklearn", "imblearn", "lightgbm", "xgboost"})


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What the estimator answers to the sample as it was given.

    X: the sample's first rows in the container ``container``. answers: to these rows, asked together.
    names: the feature names of the model, which a runtime that adopts it may forget.
    """

    model: Any
    output: Output
    container: str
    X: Any
    answers: Outputs
    names: FeatureNames

    def one(self, row: int) -> Outputs:
        """The answer to one row alone."""
        with warnings.catch_warnings(), self.names.shown():
            warnings.simplefilter("ignore")
            return plain(self.model, self.output)(_own(_row(self.X, row)))


def find_truth(model: Any, sample: Sample, infer: Callable[[Any, Any], Output] = infer_output) -> Truth:
    """Ask the estimator itself, in the first container that it answers row by row.

    infer: finds the output of the model from rows in a container.
    Raises the error of the container that was given, where no container works.
    """
    first: Exception | None = None
    for container, given in sample.given:
        X = given.to_list() if isinstance(given, Records) else given
        enough = _repeated(X, AT_LEAST_ROWS)
        try:
            with warnings.catch_warnings():
                # Names that an estimator does not look for, a sparse matrix that is slow to index: nothing
                # wrong.
                warnings.simplefilter("ignore")
                warnings.simplefilter("always", PublishWarning)
                output = infer(model, _own(enough))
                X = first_rows(X, COMPARED_ROWS)
                call = plain(model, output)
                answers = call(_own(X))
                few = first_rows(X, SINGLE_ROWS)
                one, other = call(_own(few)), call(_own(few))
        except Exception as error:  # foreign code
            first = first or error
            continue
        if not same_answers(one, other):
            raise PublishError(
                "the model gives other answers when the same rows are asked again; it cannot be verified"
            )
        return Truth(model, output, container, X, answers, FeatureNames(model))
    assert first is not None
    hint = target_hint(dict(sample.given).get("frame"), _known_labels(model))
    if hint and isinstance(first, PublishError):
        raise type(first)(f"{first}{hint}") from first
    raise first


def _known_labels(model: Any) -> list[Any]:
    """Of several outputs all of them."""
    classes = getattr(model, "classes_", ())
    of_each = classes if isinstance(classes, (list, tuple)) else [classes]
    return [label for one in of_each for label in np.ravel(one).tolist()]


def compare_with_given(model: Any, truth: Truth) -> None:
    """Hold what was loaded from the pickle against the object that was pickled; raises PublishError for other
    answers.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answers = plain(model, truth.output)(_own(truth.X))
    if not same_answers(answers, truth.answers, FLOAT32_TOLERANCE):  # it may use threads, in any order
        raise PublishError(
            "the model answers otherwise when it is loaded from its pickle: it counts on what this "
            "process did before, such as a global variable or an attribute of its class that fit() set; "
            "keep that in attributes of the object itself"
        )


def with_container(draft: Record, truth: Truth, sample: Sample) -> Record:
    """The draft with the first container that gives the estimator's own answers; raises PublishError for
    none.
    """
    rows, why = sample.rows[:COMPARED_ROWS], ""
    for more in _choices(truth, sample):
        tried = replace(draft, manifest=replace(draft.manifest, **more))
        try:
            if same_answers(truth.answers, _answers(tried, rows, truth)):
                return tried
            why = "gives other answers"
        except PlumblineError as error:
            why = f"fails ({error})"
    raise PublishError(
        f"the model {why} when the sample's rows are made from JSON again; a server could not answer as "
        "it does"
    )


def compare_as_served(
    runtime: Runtime, truth: Truth, rows: np.ndarray, parameters: Mapping[str, Any]
) -> bool:
    """Hold the runtime, as a server calls it, against the estimator: all rows together, and then one by one.

    Returns whether other rows of a call change the answer to a row. Raises PublishError for the first answer
    that differs from the estimator's.
    """
    rows = rows[:COMPARED_ROWS]
    if not same_answers(truth.answers, runtime.predict(rows, parameters)):
        raise PublishError("the model gives other answers when it is called as a server calls it")
    until = time.monotonic() + SINGLE_SECONDS
    beside = False
    for i in range(len(rows)):
        if i >= SINGLE_ROWS and time.monotonic() > until:
            break
        alone = runtime.predict(rows[i : i + 1], parameters)
        if same_answers(truth.answers.rows(i, i + 1), alone):
            continue
        if not same_answers(truth.one(i), alone):
            raise PublishError(
                f"the model answers row {i} of the sample otherwise when a server asks it alone"
            )
        # A model that computes in float32 may differ in its last digits; that is no dependence.
        beside = beside or not same_answers(truth.answers.rows(i, i + 1), alone, FLOAT32_TOLERANCE)
    if beside:
        warnings.warn(
            "the model answers a row otherwise when others stand beside it; a server asks the rows of "
            "one request together, and no two requests",
            PublishWarning,
            stacklevel=2,
        )
    return beside


def warn_of_target(sample: Sample, truth: Truth) -> None:
    """A label that became an input by mistake is seldom refused by the model; at least it is named."""
    if truth.output.kind != "class" or len(truth.output.classes) < 2:
        return
    predicted, classes = truth.answers.values, truth.output.classes
    for j, column in enumerate(sample.columns if len(sample.columns) > 1 else ()):
        cells = sample.rows[: len(predicted), j]
        if set(cells.tolist()) == set(classes) and _agree(cells, predicted, classes):
            warnings.warn(
                f"column {column.name!r} has the same values as the model's classes; is it the target?",
                PublishWarning,
                stacklevel=2,
            )


def _agree(cells: np.ndarray, predicted: np.ndarray, classes: Sequence[Any]) -> bool:
    """Whether the cells are nearly what is predicted, for every class: 0 and 1 are what any flag holds."""
    return all(np.mean(cells[predicted == c] == c) > 0.8 for c in classes if (predicted == c).any())


def _choices(truth: Truth, sample: Sample) -> Iterator[dict[str, Any]]:
    """What the manifest may say about the input, the cheapest first."""
    numeric = all(c.numeric and c.dtype != "duration" and c.values is None for c in sample.columns)
    floats = all(c.dtype == "float" for c in sample.columns)
    in_frame = {"container": "frame", "frame": sample.frame}
    in_rows = truth.container in ("frame", "polars", "array", "sparse")
    if in_rows and numeric and (floats or _reads_floats(truth.model)):
        yield {"container": "array"}
    if truth.container in ("array", "sparse"):
        yield {"container": truth.container, "array_dtype": sample.array_dtype or str(truth.X.dtype)}
        if sample.named:
            yield in_frame
    elif truth.container == "polars":
        yield {**in_frame, "container": "polars"}
    elif truth.container == "frame":
        yield in_frame
    elif truth.container == "series":
        yield {"container": "texts"}
        yield {**in_frame, "container": "series"}
    else:
        yield {"container": truth.container}


def _reads_floats(model: Any) -> bool:
    """Whether integers may reach the estimator as floats: not where somebody's own function sees them
    first.
    """
    kinds = [type(part) for part in (model, *estimator_parts(model))]
    return all(
        kind.__module__.split(".")[0] in _READ_FLOATS and kind.__name__ != "FunctionTransformer"
        for kind in kinds
    )


def _answers(draft: Record, rows: np.ndarray, truth: Truth) -> Outputs:
    """What the draft's own runtime answers; a model that was given something else must not even warn about
    plain numbers.
    """
    truth.names.restore()  # the container tried before may have made the model forget them
    runtime = adopt(draft, truth.model)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "error" if draft.manifest.container == "array" != truth.container else "ignore"
            )
            return runtime.predict(rows, {})
    finally:
        runtime.close()


def _repeated(X: Any, n: int) -> Any:
    """At least n rows: those of X, again and again where there are fewer."""
    have = row_count(X)
    return X if have >= n else _rows(X, np.resize(np.arange(have), n).tolist())


def _row(X: Any, row: int) -> Any:
    return _rows(X, [row])


def _rows(X: Any, rows: Sequence[int]) -> Any:
    """Some rows in the same container."""
    if hasattr(X, "iloc"):
        return X.iloc[list(rows)]
    return [X[i] for i in rows] if isinstance(X, list) else X[list(rows)]


def _own(X: Any) -> Any:
    """A copy to write into: the sample is the publisher's."""
    if isinstance(X, list):
        return [dict(row) if isinstance(row, dict) else row for row in X]
    return X.clone() if hasattr(X, "clone") else X.copy()
