"""The description of a model for publishing: all that its manifest records, before anything is written to a
store.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from models.conformity import misfit
from models.errors import InputError, LoadError, PlumblineError, PublishError
from models.golden import GOLDEN, GoldenRows, choose_rows
from models.libraries import installed_versions
from models.manifest import Manifest
from models.outputs import members
from models.publishing.given import read_model
from models.publishing.reference import REFERENCE, column_statistics
from models.publishing.scoring import sample_scores
from models.publishing.timing import measured_ms
from models.publishing.wishes import check_nullable, with_wishes
from models.record import Record
from models.runtime import Runtime
from models.runtimes import adopt
from models.runtimes.estimator_parts import prepare_for_serving
from models.runtimes.frameworks import framework, framework_of
from models.signature import Output, Signature

if TYPE_CHECKING:
    from models.publishing.fitting import Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """The options of a publisher.

    metrics: measured qualities by name.
    signature: the signature of an object that does not declare its own.
    parameters: the parameters of the example's request.
    method: the method of an estimator that answers, by default the first that it has of predict, transform,
        score_samples, decision_function and predict_proba.
    arguments: further arguments of that method.
    scores: additions to a reply: decision_function, score_samples, transform, std.
    code: the module or package that defines the model's own classes.
    exact: refuse batches whose answers differ from single ones in any bit.
    accept_version_mismatch: take a file that another version of a library wrote.
    compile: a choice of ``models.compiled``.
    nullable: columns that take null although the sample has no missing value in them.
    coerce: take text for numbers.
    """

    metrics: Mapping[str, float] | None = None
    description: str | None = None
    signature: Signature | None = None
    parameters: Mapping[str, Any] | None = None
    method: str | None = None
    arguments: Mapping[str, Any] | None = None
    scores: Sequence[str] = ()
    code: Path | None = None
    trained_at: datetime | None = None
    exact: bool = False
    accept_version_mismatch: bool = False
    compile: str = "none"
    nullable: Sequence[str] = ()
    coerce: bool = False


def draft_version(
    name: str,
    model: Any,
    X_sample: Any,
    y_sample: Any,
    said: Description,
    on_step: Callable[[str], None] = lambda step: None,
) -> Record:
    """Pickle the model, load it back, and record what it takes, answers and costs.

    model: a fitted estimator, an object that declares its signature, the Path of a joblib or pickle file, or
        a GivenModel.
    X_sample: DataFrame, array or list of rows that the model can answer.
    Raises PublishError, CodeMissing or LoadError; ``on_step`` is told what happens next.
    """
    given = read_model(model, said.code, said.accept_version_mismatch)
    loaded = given.loaded
    name_of_framework = framework_of(loaded, said.signature)
    base = Manifest(
        name=name,
        version=0,
        framework=name_of_framework,
        estimator=f"{type(loaded).__module__}.{type(loaded).__qualname__}",
        signature=said.signature or framework(name_of_framework).signature(loaded),  # type: ignore[arg-type]  # set below
        trained_at=_rfc3339(said.trained_at or given.since),
        published_at=_rfc3339(datetime.now(UTC)),
        description=said.description or "",
        metrics=_finite(said.metrics or {}),
        exact=said.exact,
        pickled_with=given.pickled_with,
    )
    draft = Record.draft(base, given.files)
    on_step("reading the sample")
    with _publishing("the sample"):
        draft, rows, truth = _with_signature(draft, loaded, X_sample, said, y_sample)
        draft = with_wishes(draft, said.nullable, coerce=said.coerce)
        if truth is not None and given.in_memory is not None:
            from models.publishing.fitting import compare_with_given

            compare_with_given(given.in_memory, truth)

    on_step("answering golden rows")
    parameters = _parameters(draft.manifest.signature, said.parameters or {})
    runtime = adopt(draft, loaded)
    is_answered = partial(_is_answered, runtime, draft.manifest.signature.output, parameters)
    with _publishing("the golden rows"):
        for name in said.nullable:
            check_nullable(runtime, draft.manifest.signature, name, rows, parameters, is_answered)
        chosen, synthetic = choose_rows(draft.manifest.signature, rows, is_answered)
        golden = GoldenRows(chosen, parameters, runtime.predict(chosen, parameters))
        first = runtime.predict(chosen[:1], parameters)
        for outputs, n_rows in ((golden.outputs, len(chosen)), (first, 1)):
            if wrong := misfit(draft.manifest.signature.output, outputs, n_rows):
                raise PublishError(
                    f"the model {wrong}{' when it is asked with one row' if n_rows == 1 else ''}"
                )
        draft = draft.with_files({GOLDEN: golden.to_bytes()})
        if not draft.golden.holds(runtime):
            raise PublishError(
                "the model gives other answers when the same rows are asked again; it cannot be verified"
            )

    on_step("measuring its speed")
    signature = draft.manifest.signature.with_examples(golden.rows[0].tolist(), parameters)
    request = example_request(signature)
    reply = {name: of_rows[0] for name, of_rows in members(signature.output, first).items()}
    # One row is an example, which says nothing about the data.
    data_rows = rows if len(rows) > 1 else rows[:0]
    reference = column_statistics(signature.columns, data_rows) if len(data_rows) else []
    draft = draft.with_files({REFERENCE: orjson.dumps({"rows": len(data_rows), "columns": reference})})
    if y_sample is not None:
        with _publishing("y_sample"):
            scores = _finite(sample_scores(signature.output, runtime.predict(rows, parameters), y_sample))
        draft = replace(draft, manifest=replace(draft.manifest, metrics={**scores, **draft.manifest.metrics}))
    manifest = replace(
        draft.manifest,
        signature=signature,
        libraries=_libraries(draft.manifest),
        example={"request": request, "response": reply},
        golden_rows=len(golden.rows),
        golden_synthetic=synthetic,
    )
    runtime.close()
    draft = replace(draft, manifest=manifest)
    # As it will serve: with golden rows it may find a shorter call.
    runtime = adopt(draft, loaded)
    if truth is not None:
        from models.publishing.fitting import compare_as_served

        on_step("comparing its answers one by one")
        with _publishing("the sample"):
            manifest = replace(manifest, alone=compare_as_served(runtime, truth, rows, parameters))
    finished = replace(draft, manifest=replace(manifest, measured_ms=measured_ms(runtime, golden)))
    if said.compile != "none":
        # What it needs is installed only for this.
        from models.publishing.compiling.choice import with_compiled_form

        model = getattr(runtime, "model", None)
        finished = with_compiled_form(finished, runtime, model, rows, said.compile, on_step)
    runtime.close()
    return finished


def example_request(signature: Signature) -> dict[str, Any]:
    """A request body with the example of every column and parameter, in the form that reads best."""
    cells = {c.name: c.example for c in signature.columns}
    parameters = {p.name: p.example for p in signature.parameters}
    if signature.numeric and not parameters:
        return {"features": list(cells.values())}
    if signature.named:
        return {**cells, **parameters}
    return {"features": list(cells.values()), **({"parameters": parameters} if parameters else {})}


def _with_signature(
    draft: Record, model: Any, X_sample: Any, said: Description, y_sample: Any
) -> tuple[Record, np.ndarray, Truth | None]:
    """The draft with its signature and its input's container, the sample as rows, and what the estimator
    itself answers.

    A model that declares its signature is called as it declares, so there is nothing to compare it with.
    """
    from models.publishing.sample import Sample, declared_rows

    manifest = draft.manifest
    if manifest.signature is not None:
        if said.method or said.arguments or said.scores:
            raise PublishError(
                "a model that declares its signature answers as that says; leave out method, arguments "
                "and scores"
            )
        return draft, declared_rows(manifest.signature, X_sample), None
    # Only an estimator needs scikit-learn.
    from models.publishing.answers import infer_output
    from models.publishing.fitting import find_truth, warn_of_target, with_container

    # Threads would add up a forest's votes in another order each time.
    prepare_for_serving(model, keep_names=True)
    sample = Sample.of(model, X_sample)
    # Outcomes with columns name several outputs.
    names = [str(name) for name in getattr(y_sample, "columns", ())]
    asking = {"method": said.method, "arguments": said.arguments, "scores": said.scores, "names": names}
    truth = find_truth(model, sample, partial(infer_output, **asking))
    warn_of_target(sample, truth)
    signature = sample.signature(truth.output)
    draft = replace(draft, manifest=replace(manifest, signature=signature))
    return with_container(draft, truth, sample), sample.rows, truth


def _is_answered(runtime: Runtime, output: Output, parameters: Mapping[str, Any], rows: np.ndarray) -> bool:
    """Whether the model answers all of these rows as its output says."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an attempt with made-up numbers: what it says does not matter
            outputs = runtime.predict(rows, parameters)
        return not misfit(output, outputs, len(rows))
    except PlumblineError:
        return False


def _parameters(signature: Signature, given: Mapping[str, Any]) -> dict[str, Any]:
    values = {p.name: given.get(p.name, p.default) for p in signature.parameters}
    missing = [p.name for p in signature.parameters if p.required and p.name not in given]
    unknown = sorted(given.keys() - values.keys())
    if missing or unknown:
        wrong = f"misses {', '.join(missing)}" if missing else f"does not know {', '.join(unknown)}"
        raise PublishError(f"the example's parameters: the signature {wrong}")
    return values


def _libraries(manifest: Manifest) -> dict[str, str]:
    """Versions of what the answers depend on: Python's by major and minor, packages' in full."""
    names = [
        *framework(manifest.framework).libraries,
        *(["pandas"] if manifest.frame else []),
        *(["polars", "pyarrow"] if manifest.container == "polars" else []),
    ]
    return installed_versions(["python", *names])


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    for name, value in metrics.items():
        if not np.isfinite(value):
            raise PublishError(f"metric {name!r} is {value}; give a finite number")
    return {name: float(value) for name, value in metrics.items()}


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@contextmanager
def _publishing(what: str) -> Iterator[None]:
    """Turn what a model or a sample raises during publishing into one PublishError that says where."""
    try:
        yield
    except (PublishError, LoadError):
        raise
    except InputError as error:
        raise PublishError(f"{what}: {error}") from error
    except Exception as error:  # the model is foreign code
        raise PublishError(f"{what}: {type(error).__name__}: {' '.join(str(error).split())}") from error
