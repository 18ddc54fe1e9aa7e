"""What is found out and recorded about a model when it is published, before anything is written to a store."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from models.compare import same_answers
from models.conformity import misfit
from models.draft import Draft, file_records
from models.errors import InputError, LoadError, PlumblineError, PublishError
from models.given import read_model
from models.golden import GOLDEN, GoldenRows, choose_rows
from models.libraries import installed_versions
from models.manifest import Manifest
from models.outputs import Outputs
from models.reference import column_statistics
from models.runtimes import declared_signature, framework_of, runtime_for
from models.runtimes.base import Runtime
from models.runtimes.estimator_parts import prepare_for_serving
from models.signature import Output, Signature
from models.timing import measured_ms

REFERENCE = "reference.json"
CHECKED_ROWS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a publisher may say about a model beside the model and its sample."""

    metrics: Mapping[str, float] | None = None
    description: str | None = None
    signature: Signature | None = None
    parameters: Mapping[str, Any] | None = None
    code: Path | None = None
    trained_at: datetime | None = None
    exact: bool = False
    accept_version_mismatch: bool = False
    compile: str = "none"


def draft_version(
    name: str,
    model: Any,
    X_sample: Any,
    y_sample: Any,
    said: Description,
    on_step: Callable[[str], None] = lambda step: None,
) -> Draft:
    """Pickle the model, load it back, and record what it takes, answers and costs.

    model : a fitted estimator, an object that declares its signature, the Path of a joblib or pickle file, or a GivenModel.
    X_sample : DataFrame, array or list of rows that the model can answer.
    Raises PublishError, CodeMissing or LoadError; ``on_step`` is told what happens next.
    """
    from models.runtimes.pickled import ARTIFACT  # joblib: needed here, not by `flask models list`

    given = read_model(model, said.code, said.accept_version_mismatch)
    files, loaded = {ARTIFACT: given.data, **given.code}, given.loaded
    base = Manifest(
        name=name,
        version=0,
        framework=framework_of(loaded, said.signature),
        estimator=f"{type(loaded).__module__}.{type(loaded).__qualname__}",
        signature=said.signature or declared_signature(loaded),  # type: ignore[arg-type]  # set below
        trained_at=_rfc3339(said.trained_at or given.since),
        published_at=_rfc3339(datetime.now(UTC)),
        description=said.description or "",
        metrics=_finite(said.metrics or {}),
        exact=said.exact,
        pickled_with=given.pickled_with,
        files=file_records(files),
    )
    on_step("reading the sample")
    with _publishing("the sample"):
        draft, rows = _with_signature(Draft(base, files), loaded, X_sample)

    on_step("answering golden rows")
    parameters = _parameters(draft.manifest.signature, said.parameters or {})
    chosen, synthetic = choose_rows(draft.manifest.signature, rows)
    runtime = runtime_for(draft)
    runtime.load()
    with _publishing("the golden rows"):
        golden = GoldenRows(chosen, parameters, runtime.predict(chosen, parameters))
        first = runtime.predict(chosen[:1], parameters)
        wrong = misfit(draft.manifest.signature.output, golden.outputs)
        if wrong:
            raise PublishError(f"the model {wrong}")
        files[GOLDEN] = golden.to_bytes()
        if not GoldenRows.of(replace(draft, files=files)).holds(runtime):
            raise PublishError(
                "the model gives other answers when the same rows are asked again; it cannot be verified"
            )

    on_step("measuring its speed")
    signature = draft.manifest.signature.with_examples(golden.rows[0].tolist(), parameters)
    request = example_request(signature)
    values, probabilities = first.to_lists()
    reply = {"prediction": values[0], **({"probability": probabilities[0]} if probabilities else {})}
    # One row is an example, which says nothing about the data.
    data_rows = rows if len(rows) > 1 else rows[:0]
    reference = column_statistics(signature.columns, data_rows) if len(data_rows) else []
    files[REFERENCE] = orjson.dumps({"rows": len(data_rows), "columns": reference})
    if y_sample is not None:
        with _publishing("y_sample"):
            predicted = runtime.predict(rows, parameters).values
            scores = _finite(_scores(signature.output, predicted, np.asarray(y_sample)))
        draft = replace(draft, manifest=replace(draft.manifest, metrics={**scores, **draft.manifest.metrics}))
    manifest = replace(
        draft.manifest,
        signature=signature,
        libraries=_libraries(runtime, draft.manifest),
        files=file_records(files),
        example={"request": request, "response": reply},
        golden_rows=len(golden.rows),
        golden_synthetic=synthetic,
    )
    runtime.close()
    runtime = runtime_for(
        Draft(manifest, files)
    )  # as it will serve: beside golden rows it may know a shorter way
    runtime.load()
    finished = Draft(replace(manifest, measured_ms=measured_ms(runtime, golden)), files)
    if said.compile != "none":
        from models.compiling.choice import with_compiled_form  # what it needs is installed only for this

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


def _with_signature(draft: Draft, model: Any, X_sample: Any) -> tuple[Draft, np.ndarray]:
    """The draft with its signature and the form of its input, and the sample as rows.

    An estimator that was fitted on a DataFrame is called with plain numbers if that makes no difference.
    """
    from models.sample import Sample, declared_rows, infer_signature

    manifest = draft.manifest
    if manifest.signature is not None:
        return draft, declared_rows(manifest.signature, X_sample)
    from models.runtimes.sklearn_calls import plain  # only an estimator needs scikit-learn

    prepare_for_serving(
        model, keep_names=True
    )  # threads would add up a forest's votes in another order each time
    sample = Sample.of(model, X_sample)
    manifest = replace(manifest, signature=infer_signature(model, sample))
    if not sample.frame:
        return replace(draft, manifest=manifest), sample.rows
    expected = plain(model, manifest.signature.output)(sample.X[:CHECKED_ROWS])
    why = ""
    for frame in ((), sample.frame) if manifest.signature.numeric else (sample.frame,):
        draft = replace(draft, manifest=replace(manifest, frame=frame))
        try:
            if same_answers(expected, _answers(draft, sample.rows[:CHECKED_ROWS])):
                return draft, sample.rows
            why = "gives other answers"
        except PlumblineError as error:
            why = f"fails ({error})"
    raise PublishError(
        f"the model {why} when the sample's rows are made from JSON again; let missing values be NaN and dates whole days"
    )


def _answers(draft: Draft, rows: np.ndarray) -> Outputs:
    """What the draft's own runtime answers; a model called with plain numbers must not even warn about it."""
    runtime = runtime_for(draft)
    runtime.load()
    try:
        with warnings.catch_warnings():
            if not draft.manifest.frame:
                warnings.simplefilter("error")
            return runtime.predict(rows, {})
    finally:
        runtime.close()


def _parameters(signature: Signature, given: Mapping[str, Any]) -> dict[str, Any]:
    values = {p.name: given.get(p.name, p.default) for p in signature.parameters}
    missing = [p.name for p in signature.parameters if p.required and p.name not in given]
    unknown = sorted(given.keys() - values.keys())
    if missing or unknown:
        wrong = f"misses {', '.join(missing)}" if missing else f"does not know {', '.join(unknown)}"
        raise PublishError(f"the example's parameters: the signature {wrong}")
    return values


def _scores(output: Output, predicted: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """How well the sample's own outcomes are met. Shapes: y and predicted (n_rows,) or (n_rows, size)."""
    if output.kind == "records":
        raise PublishError("records cannot be scored against outcomes; give metrics instead")
    if y.shape != predicted.shape:
        raise PublishError(f"it has shape {y.shape}, the answers to the sample {predicted.shape}")
    if output.kind == "class":
        return {"sample_accuracy": float(np.mean(predicted == y))}
    return {"sample_mean_absolute_error": float(np.mean(np.abs(predicted - y)))}


def _libraries(runtime: Runtime, manifest: Manifest) -> dict[str, str]:
    """Versions of what the answers depend on: Python's by major and minor, packages' in full."""
    names = [
        *importlib.import_module(type(runtime).__module__).LIBRARIES,
        *(["pandas"] if manifest.frame else []),
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
