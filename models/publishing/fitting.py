"""The container in which an estimator is called: found by trial, and verified against the estimator's own
answers.

The estimator's answers to the sample in its own container and dtypes are the reference. A server has rows
that are made from JSON, so the containers that can be built from them are tried until one gives the same
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

#: The number of the sample's rows that are compared, together and one by one.
COMPARED_ROWS = 2000
#: The time for comparing rows one by one, after the first SINGLE_ROWS.
SINGLE_SECONDS = 5.0
SINGLE_ROWS = 32
#: Fewer rows would not expose an estimator that gives the same number of answers to any number of rows.
AT_LEAST_ROWS = 3

#: Packages whose estimators convert numbers to floats, so that 1 and 1.0 are the same to them.
_READ_FLOATS = frozenset({"sklearn", "imblearn", "lightgbm", "xgboost"})


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """The estimator's own answers to the sample."""

    model: Any
    output: Output
    container: str
    #: The sample's first rows in ``container``.
    X: Any
    #: The answers to ``X`` in one call.
    answers: Outputs
    #: The feature names of the model, which a runtime that adopts it may remove.
    names: FeatureNames

    def one(self, row: int) -> Outputs:
        """Return the answer to one row in a call of its own."""
        with warnings.catch_warnings(), self.names.shown():
            warnings.simplefilter("ignore")
            return plain(self.model, self.output)(_own(_row(self.X, row)))


def find_truth(model: Any, sample: Sample, infer: Callable[[Any, Any], Output] = infer_output) -> Truth:
    """Call the estimator itself, in the first container in which it answers row by row.

    ``infer`` returns the output of the model from rows in a container. If no container works, the error of
    the container that the publisher gave is raised.
    """
    first_error: Exception | None = None
    for container, rows_given in sample.given:
        X = rows_given.to_list() if isinstance(rows_given, Records) else rows_given
        enough = _repeated(X, AT_LEAST_ROWS)
        try:
            with warnings.catch_warnings():
                # Warnings about unused names or slow indexing of a sparse matrix do not matter.
                warnings.simplefilter("ignore")
                warnings.simplefilter("always", PublishWarning)
                output = infer(model, _own(enough))
                X = first_rows(X, COMPARED_ROWS)
                call = plain(model, output)
                answers = call(_own(X))
                few = first_rows(X, SINGLE_ROWS)
                one, other = call(_own(few)), call(_own(few))
        except Exception as error:  # a model's code may raise anything
            first_error = first_error or error
            continue
        if not same_answers(one, other):
            raise PublishError("the model gives different answers to the same rows; it cannot be verified")
        return Truth(model, output, container, X, answers, FeatureNames(model))
    assert first_error is not None
    hint = target_hint(dict(sample.given).get("frame"), _known_labels(model))
    if hint and isinstance(first_error, PublishError):
        raise type(first_error)(f"{first_error}{hint}") from first_error
    raise first_error


def _known_labels(model: Any) -> list[Any]:
    """Return the labels of a classifier, of several outputs all of them."""
    classes = getattr(model, "classes_", ())
    classes_by_output = classes if isinstance(classes, (list, tuple)) else [classes]
    return [label for one in classes_by_output for label in np.ravel(one).tolist()]


def compare_with_given(model: Any, truth: Truth) -> None:
    """Compare the model that was loaded from the pickle with the object that was pickled; raises
    PublishError.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answers = plain(model, truth.output)(_own(truth.X))
    if not same_answers(answers, truth.answers, FLOAT32_TOLERANCE):  # threads may add numbers in any order
        raise PublishError(
            "the model answers differently when it is loaded from its pickle: it depends on what this "
            "process did before, such as a global variable or an attribute of its class that fit() set; "
            "keep that in attributes of the object itself"
        )


def with_container(draft: Record, truth: Truth, sample: Sample) -> Record:
    """Return the draft with the first container that gives the estimator's own answers.

    Raises PublishError if no container does.
    """
    rows, fault = sample.rows[:COMPARED_ROWS], ""
    for manifest_fields in _choices(truth, sample):
        candidate = replace(draft, manifest=replace(draft.manifest, **manifest_fields))
        try:
            if same_answers(truth.answers, _answers(candidate, rows, truth)):
                return candidate
            fault = "gives different answers"
        except PlumblineError as error:
            fault = f"fails ({error})"
    raise PublishError(
        f"the model {fault} when the sample's rows are made from JSON again; a server could not answer as "
        "it does"
    )


def compare_as_served(
    runtime: Runtime, truth: Truth, rows: np.ndarray, parameters: Mapping[str, Any]
) -> bool:
    """Compare the runtime, called as a server calls it, with the estimator: all rows together, and then one
    by one.

    Returns whether other rows of a call change the answer to a row. Raises PublishError for the first answer
    that differs from the estimator's.
    """
    rows = rows[:COMPARED_ROWS]
    if not same_answers(truth.answers, runtime.predict(rows, parameters)):
        raise PublishError("the model gives different answers when it is called as a server calls it")
    until = time.monotonic() + SINGLE_SECONDS
    depends_on_other_rows = False
    for i in range(len(rows)):
        if i >= SINGLE_ROWS and time.monotonic() > until:
            break
        alone = runtime.predict(rows[i : i + 1], parameters)
        if same_answers(truth.answers.rows(i, i + 1), alone):
            continue
        if not same_answers(truth.one(i), alone):
            raise PublishError(
                f"the model answers row {i} of the sample differently when a server calls it with that "
                "row alone"
            )
        # A model that computes in float32 may differ in its last digits without depending on other rows.
        depends_on_other_rows = depends_on_other_rows or not same_answers(
            truth.answers.rows(i, i + 1), alone, FLOAT32_TOLERANCE
        )
    if depends_on_other_rows:
        warnings.warn(
            "the model answers a row differently when other rows are in the call; a server puts the "
            "rows of one request into a call, and never those of two requests",
            PublishWarning,
            stacklevel=2,
        )
    return depends_on_other_rows


def warn_of_target(sample: Sample, truth: Truth) -> None:
    """Warn of a column that may be the target by mistake. A model seldom refuses one."""
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
    """Return whether the cells nearly equal the predictions for every class: any flag has the values 0 and
    1.
    """
    return all(np.mean(cells[predicted == c] == c) > 0.8 for c in classes if (predicted == c).any())


def _choices(truth: Truth, sample: Sample) -> Iterator[dict[str, Any]]:
    """Yield the members of the manifest that describe the input, the cheapest container first."""
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
    """Return whether integers may reach the estimator as floats. A publisher's own function may tell them
    apart.
    """
    kinds = [type(part) for part in (model, *estimator_parts(model))]
    return all(
        kind.__module__.split(".")[0] in _READ_FLOATS and kind.__name__ != "FunctionTransformer"
        for kind in kinds
    )


def _answers(draft: Record, rows: np.ndarray, truth: Truth) -> Outputs:
    """Return the answers of the draft's own runtime.

    A model that was given another container must not even warn about plain numbers.
    """
    truth.names.restore()  # an earlier container may have removed them from the model
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
    """Return at least n rows: those of X, repeated if there are fewer."""
    n_rows = row_count(X)
    return X if n_rows >= n else _rows(X, np.resize(np.arange(n_rows), n).tolist())


def _row(X: Any, row: int) -> Any:
    return _rows(X, [row])


def _rows(X: Any, rows: Sequence[int]) -> Any:
    """Return some rows in the same container."""
    if hasattr(X, "iloc"):
        return X.iloc[list(rows)]
    return [X[i] for i in rows] if isinstance(X, list) else X[list(rows)]


def _own(X: Any) -> Any:
    """Return a copy that the model may write to, because the sample belongs to the publisher."""
    if isinstance(X, list):
        return [dict(row) if isinstance(row, dict) else row for row in X]
    return X.clone() if hasattr(X, "clone") else X.copy()
