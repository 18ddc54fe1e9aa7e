"""The draft of a version: everything that its manifest records, before it is written to a store."""

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
from models.outputs import Outputs, members
from models.publishing.given import GivenModel, read_model
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
    """The options of a publisher."""

    #: Measured qualities by name.
    metrics: Mapping[str, float] | None = None
    description: str | None = None
    #: The signature of an object that does not declare its own.
    signature: Signature | None = None
    #: The parameters of the example's request.
    parameters: Mapping[str, Any] | None = None
    #: The method of an estimator that answers; by default the first that it has of predict, transform,
    #: score_samples, decision_function and predict_proba.
    method: str | None = None
    #: Further arguments of that method.
    arguments: Mapping[str, Any] | None = None
    #: Additions to a reply: decision_function, score_samples, transform, std.
    scores: Sequence[str] = ()
    #: The module or package that defines the model's own classes.
    code: Path | None = None
    trained_at: datetime | None = None
    #: Refuse batches whose answers differ from single ones in any bit.
    exact: bool = False
    #: Accept a file that another version of a library wrote.
    accept_version_mismatch: bool = False
    #: A choice of ``models.compiled``.
    compile: str = "none"
    #: Columns that accept null although the sample has no missing value in them.
    nullable: Sequence[str] = ()
    #: Accept text for numbers.
    coerce: bool = False


def draft_version(
    name: str,
    model: Any,
    X_sample: Any,
    y_sample: Any,
    options: Description,
    on_step: Callable[[str], None] = lambda step: None,
) -> Record:
    """Pickle the model, load it back, and record what it takes, answers and costs.

    model: a fitted estimator, an object that declares its signature, the Path of a joblib or pickle file, or
        a GivenModel.
    X_sample: DataFrame, array or list of rows that the model can answer.
    on_step: called with each step's name as it begins.

    Raises PublishError, CodeMissing or LoadError.
    """
    given = read_model(model, options.code, options.accept_version_mismatch)
    loaded = given.loaded
    draft = Record.draft(_first_manifest(name, given, options), given.files)
    on_step("reading the sample")
    with _publishing("the sample"):
        draft, rows, truth = _with_signature(draft, loaded, X_sample, options, y_sample)
        draft = with_wishes(draft, options.nullable, coerce=options.coerce)
        if truth is not None and given.in_memory is not None:
            from models.publishing.fitting import compare_with_given

            compare_with_given(given.in_memory, truth)

    on_step("answering golden rows")
    parameters = _parameters(draft.manifest.signature, options.parameters or {})
    runtime = adopt(draft, loaded)
    with _publishing("the golden rows"):
        draft, golden, first = _with_golden_rows(draft, runtime, rows, parameters, options.nullable)

    on_step("measuring its speed")
    draft = _with_example(draft, golden, first)
    draft = _with_reference(draft, rows)
    if y_sample is not None:
        with _publishing("y_sample"):
            draft = _with_scores(draft, runtime.predict(rows, parameters), y_sample)
    draft = _changed(draft, libraries=_libraries(draft.manifest))
    runtime.close()
    # A runtime of the final record may use a shorter call, which it verifies with the golden rows.
    runtime = adopt(draft, loaded)
    if truth is not None:
        from models.publishing.fitting import compare_as_served

        on_step("comparing its answers one by one")
        with _publishing("the sample"):
            draft = _changed(draft, alone=compare_as_served(runtime, truth, rows, parameters))
    draft = _changed(draft, measured_ms=measured_ms(runtime, golden))
    if options.compile != "none":
        # The libraries of compiled forms may not be installed.
        from models.publishing.compiling.choice import with_compiled_form

        estimator = getattr(runtime, "model", None)
        draft = with_compiled_form(draft, runtime, estimator, rows, options.compile, on_step)
    runtime.close()
    return draft


def _first_manifest(name: str, given: GivenModel, options: Description) -> Manifest:
    """Return what is known before the sample is read. The signature may be missing."""
    model = given.loaded
    framework_name = framework_of(model, options.signature)
    signature = options.signature or framework(framework_name).signature(model)
    return Manifest(
        name=name,
        version=0,
        framework=framework_name,
        estimator=f"{type(model).__module__}.{type(model).__qualname__}",
        signature=signature,  # type: ignore[arg-type]  # _with_signature sets a missing one
        trained_at=_rfc3339(options.trained_at or given.since),
        published_at=_rfc3339(datetime.now(UTC)),
        description=options.description or "",
        metrics=_finite(options.metrics or {}),
        exact=options.exact,
        pickled_with=given.pickled_with,
    )


def _with_golden_rows(
    draft: Record,
    runtime: Runtime,
    rows: np.ndarray,
    parameters: Mapping[str, Any],
    nullable: Sequence[str],
) -> tuple[Record, GoldenRows, Outputs]:
    """Return the draft with golden rows, these rows, and the answer to the first one in a call of its own."""
    signature = draft.manifest.signature
    is_answered = partial(_is_answered, runtime, signature.output, parameters)
    for column in nullable:
        check_nullable(runtime, signature, column, rows, parameters, is_answered)
    chosen, synthetic = choose_rows(signature, rows, is_answered)
    golden = GoldenRows(chosen, parameters, runtime.predict(chosen, parameters))
    first = runtime.predict(chosen[:1], parameters)
    for outputs, n_rows in ((golden.outputs, len(chosen)), (first, 1)):
        if fault := misfit(signature.output, outputs, n_rows):
            raise PublishError(f"the model {fault}{' when it is called with one row' if n_rows == 1 else ''}")
    draft = draft.with_files({GOLDEN: golden.to_bytes()})
    if not draft.golden.holds(runtime):
        raise PublishError("the model gives different answers to the same rows; it cannot be verified")
    return _changed(draft, golden_rows=len(chosen), golden_synthetic=synthetic), golden, first


def _with_example(draft: Record, golden: GoldenRows, first: Outputs) -> Record:
    """Return the draft with the first golden row as its example, in the signature and as request and
    reply.
    """
    signature = draft.manifest.signature.with_examples(golden.rows[0].tolist(), golden.parameters)
    reply = {name: values[0] for name, values in members(signature.output, first).items()}
    return _changed(
        draft, signature=signature, example={"request": example_request(signature), "response": reply}
    )


def _with_reference(draft: Record, rows: np.ndarray) -> Record:
    """Return the draft with the statistics of its sample. A single row is an example and has none."""
    rows = rows if len(rows) > 1 else rows[:0]
    statistics = column_statistics(draft.manifest.signature.columns, rows) if len(rows) else []
    return draft.with_files({REFERENCE: orjson.dumps({"rows": len(rows), "columns": statistics})})


def _with_scores(draft: Record, outputs: Outputs, y_sample: Any) -> Record:
    """Return the draft with its scores on the sample among its metrics. The publisher's own metrics win."""
    scores = _finite(sample_scores(draft.manifest.signature.output, outputs, y_sample))
    return _changed(draft, metrics={**scores, **draft.manifest.metrics})


def _changed(draft: Record, **fields: Any) -> Record:
    """Return the draft with other fields of its manifest."""
    return replace(draft, manifest=replace(draft.manifest, **fields))


def example_request(signature: Signature) -> dict[str, Any]:
    """Return a request body with the example of every column and parameter, in its most readable form."""
    cells = {c.name: c.example for c in signature.columns}
    parameters = {p.name: p.example for p in signature.parameters}
    if signature.numeric and not parameters:
        return {"features": list(cells.values())}
    if signature.named:
        return {**cells, **parameters}
    return {"features": list(cells.values()), **({"parameters": parameters} if parameters else {})}


def _with_signature(
    draft: Record, model: Any, X_sample: Any, options: Description, y_sample: Any
) -> tuple[Record, np.ndarray, Truth | None]:
    """Return the draft with its signature and container, the sample as rows, and the estimator's own answers.

    A model that declares its signature is called as it declares, so there is nothing to compare it with.
    """
    from models.publishing.sample import Sample, declared_rows

    manifest = draft.manifest
    if manifest.signature is not None:
        if options.method or options.arguments or options.scores:
            raise PublishError(
                "a model that declares its signature answers accordingly; leave out method, arguments "
                "and scores"
            )
        return draft, declared_rows(manifest.signature, X_sample), None
    # Only an estimator needs scikit-learn.
    from models.publishing.answers import infer_output
    from models.publishing.fitting import find_truth, warn_of_target, with_container

    # Threads would add a forest's votes in a different order each time.
    prepare_for_serving(model, keep_names=True)
    sample = Sample.of(model, X_sample)
    # Outcomes with columns name several outputs.
    names = [str(name) for name in getattr(y_sample, "columns", ())]
    method_options = {
        "method": options.method,
        "arguments": options.arguments,
        "scores": options.scores,
        "names": names,
    }
    truth = find_truth(model, sample, partial(infer_output, **method_options))
    warn_of_target(sample, truth)
    signature = sample.signature(truth.output)
    draft = replace(draft, manifest=replace(manifest, signature=signature))
    return with_container(draft, truth, sample), sample.rows, truth


def _is_answered(runtime: Runtime, output: Output, parameters: Mapping[str, Any], rows: np.ndarray) -> bool:
    """Return whether the model answers all of these rows in conformity with its output."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings about made-up numbers do not matter
            outputs = runtime.predict(rows, parameters)
        return not misfit(output, outputs, len(rows))
    except PlumblineError:
        return False


def _parameters(signature: Signature, given: Mapping[str, Any]) -> dict[str, Any]:
    values = {p.name: given.get(p.name, p.default) for p in signature.parameters}
    missing = [p.name for p in signature.parameters if p.required and p.name not in given]
    unknown = sorted(given.keys() - values.keys())
    if missing or unknown:
        fault = f"misses {', '.join(missing)}" if missing else f"does not know {', '.join(unknown)}"
        raise PublishError(f"the example's parameters: the signature {fault}")
    return values


def _libraries(manifest: Manifest) -> dict[str, str]:
    """Return the versions of the libraries that the answers depend on: Python's by major and minor, others in
    full.
    """
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
    """Turn any error of a model or a sample into a PublishError that begins with ``what``."""
    try:
        yield
    except (PublishError, LoadError):
        raise
    except InputError as error:
        raise PublishError(f"{what}: {error}") from error
    except Exception as error:  # a model's code may raise anything
        raise PublishError(f"{what}: {type(error).__name__}: {' '.join(str(error).split())}") from error
