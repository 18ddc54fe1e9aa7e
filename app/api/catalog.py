"""The routes of the catalog: the models, their versions, and comparisons of two versions."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request
from werkzeug.exceptions import BadRequest

from app.api.context import this_context
from app.api.documented import CATALOG, documented
from app.api.json_provider import json_reply
from app.catalog.snapshot import ModelVersions
from models.names import Version
from schemas.documents import model_document, version_document, version_summary
from schemas.service import (
    ComparisonSchema,
    ModelDetailSchema,
    ModelReadySchema,
    ModelsSchema,
    VersionDetailSchema,
)

blueprint = Blueprint("catalog", __name__)


@blueprint.get("/models")
@documented("models", "All models", CATALOG, ModelsSchema)
def models() -> Response:
    """Return every model, with its versions, aliases and tags."""
    snapshot = this_context().engine.snapshot
    snapshot.check()
    return json_reply({"models": [summary(model) for model in snapshot.models.values()]})


@blueprint.get("/models/<name>")
@documented("models.get", "One model and its versions", CATALOG, ModelDetailSchema)
def model(name: str) -> Response:
    """Return one model, with a summary of each of its versions."""
    entry = this_context().engine.snapshot.model(name)
    return json_reply({**summary(entry), "versions": [_summary(entry, v) for v in entry.versions]})


@blueprint.get("/models/<name>/versions/<version>")
@documented(
    "models.version",
    "One version: features, ranges, example, metrics, speed, libraries",
    CATALOG,
    VersionDetailSchema,
    problems=("503",),
)
def version(name: str, version: str) -> Response:
    """Return everything recorded about one version, which a number, tag or alias selects."""
    engine = this_context().engine
    target = engine.routing.resolve(name, version)
    entry = engine.snapshot.model(name)
    document = version_document(_summary(entry, target.number), engine.snapshot.manifest(target))
    return json_reply({**document, "batching": engine.residency.about(target)})


@blueprint.get("/models/<name>/compare")
@documented(
    "models.compare",
    "Comparison of two versions: their records, and their answers to golden rows",
    CATALOG,
    ComparisonSchema,
    query={"a": "One version: a number, tag or alias", "b": "The other"},
    problems=("400", "409", "500", "503"),
)
def compare_versions(name: str) -> Response:
    """Compare two versions on the golden rows of the second."""
    engine = this_context().engine
    selectors = [request.args.get(parameter, "") for parameter in ("a", "b")]
    if not all(selectors):
        raise BadRequest(f"name two versions, such as /models/{name[:64]}/compare?a=1&b=2")
    one, other = (engine.routing.resolve(name, selector) for selector in selectors)
    return json_reply(this_context().comparison(one, other).to_json())


@blueprint.get("/models/<name>/ready")
@documented(
    "models.ready",
    "Readiness of one model",
    CATALOG,
    ModelReadySchema,
    success="Routed requests of the model can be answered",
    also={"503": "Routed requests of the model cannot be answered"},
)
def ready(name: str) -> tuple[Response, int]:
    """Return whether routed requests of the model can be answered."""
    state, reason = this_context().engine.residency.model_status(name)
    is_ready = state in ("ready", "lazy")
    return json_reply({"name": name, "ready": is_ready, **_state(state, reason)}), 200 if is_ready else 503


def summary(entry: ModelVersions) -> dict[str, Any]:
    """Return the document of one model: its state, versions, aliases and tags."""
    engine = this_context().engine
    stand_in = engine.routing.stand_ins.get(entry.name)
    document = model_document(
        entry.name,
        [*entry.versions],
        default=entry.name == engine.snapshot.default,
        description=entry.description,
        aliases=entry.aliases,
        tags=entry.tags,
        rule=entry.rule,
        state=_state(*engine.residency.model_status(entry.name)),
    )
    return document if stand_in is None else {**document, "stand_in": str(stand_in.number)}


def _summary(entry: ModelVersions, number: int) -> dict[str, Any]:
    state, reason = this_context().engine.residency.status(Version(entry.name, number))
    record = entry.record(number)
    return version_summary(
        number,
        entry.names_of(number),
        record.manifest if record else None,
        _state(state, reason or entry.fault_of(number)),
    )


def _state(state: str, reason: str) -> dict[str, str]:
    return {"state": state, **({"reason": reason} if reason else {})}
