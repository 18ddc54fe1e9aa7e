"""Which models there are, and what is known about each version."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request
from werkzeug.exceptions import BadRequest

from app.api.context import context
from app.api.documented import CATALOG, documented
from app.api.json_provider import json_reply
from app.catalog.snapshot import CatalogModel
from models.names import Version
from models.traffic import Rule
from schemas.catalog import version_metadata, version_summary
from schemas.service import (
    ComparisonSchema,
    ModelDetailSchema,
    ModelReadySchema,
    ModelsSchema,
    VersionDetailSchema,
)

blueprint = Blueprint("catalog", __name__)


@blueprint.get("/models")
@documented("models", "Which models are there?", CATALOG, ModelsSchema)
def models() -> Response:
    """Every model, with its versions and names."""
    catalog = context().engine.catalog
    catalog.check()
    return json_reply({"models": [summary(model) for model in catalog.models.values()]})


@blueprint.get("/models/<name>")
@documented("models.get", "Which versions does a model have?", CATALOG, ModelDetailSchema)
def model(name: str) -> Response:
    """One model, with what is known about each of its versions."""
    found = context().engine.catalog.model(name)
    return json_reply({**summary(found), "versions": [_summary(found, v) for v in found.versions]})


@blueprint.get("/models/<name>/versions/<version>")
@documented(
    "models.version",
    "What is known about a version: features, ranges, example, metrics, speed, libraries?",
    CATALOG,
    VersionDetailSchema,
    problems=("503",),
)
def version(name: str, version: str) -> Response:
    """Everything recorded about one version, chosen by number, tag or alias."""
    engine = context().engine
    target = engine.catalog.resolve(name, version)
    found = engine.catalog.model(name)
    summary, batching = _summary(found, target.number), engine.loader.about(target)
    return json_reply(version_metadata(summary, engine.catalog.manifest(target), batching))


@blueprint.get("/models/<name>/compare")
@documented(
    "models.compare",
    "How do two versions differ, in what they recorded and in their answers to golden rows?",
    CATALOG,
    ComparisonSchema,
    query={"a": "One version: a number, tag or alias", "b": "The other"},
    problems=("400", "409", "500", "503"),
)
def compare_versions(name: str) -> Response:
    """Two versions side by side, on the golden rows of the second."""
    engine = context().engine
    asked = [request.args.get(which, "") for which in ("a", "b")]
    if not all(asked):
        raise BadRequest(f"name two versions, such as /models/{name[:64]}/compare?a=1&b=2")
    one, other = (engine.catalog.resolve(name, selector) for selector in asked)
    return json_reply(context().comparison(one, other).to_json())


@blueprint.get("/models/<name>/ready")
@documented(
    "models.ready",
    "Can routed requests of a model be answered?",
    CATALOG,
    ModelReadySchema,
    success="They can",
    also={"503": "They cannot"},
)
def ready(name: str) -> tuple[Response, int]:
    """Whether routed requests of the model can be answered."""
    state, reason = context().engine.loader.model_status(name)
    able = state in ("ready", "lazy")
    body: dict[str, Any] = {
        "name": name,
        "ready": able,
        "state": state,
        **({"reason": reason} if reason else {}),
    }
    return json_reply(body), 200 if able else 503


def summary(found: CatalogModel) -> dict[str, Any]:
    """One model: its state, versions, aliases and tags."""
    engine = context().engine
    state, reason = engine.loader.model_status(found.name)
    described = found.whole.get(found.selectors.get("stable", 0))
    stand_in = engine.catalog.stand_ins.get(found.name)
    return {
        "name": found.name,
        "default": found.name == engine.catalog.default,
        "state": state,
        **({"reason": reason} if reason else {}),
        "description": described.manifest.description if described else "",
        "versions": [str(v) for v in found.versions],
        "latest": str(found.versions[-1]) if found.versions else None,
        "aliases": {alias: str(v) for alias, v in found.aliases.items()},
        "tags": {tag: str(v) for tag, v in found.tags.items()},
        **({"traffic": _without_secrets(found.rule)} if found.rule else {}),
        **({"stand_in": str(stand_in)} if stand_in is not None else {}),
    }


def _without_secrets(rule: Rule) -> dict[str, Any]:
    """A traffic rule without the header values that open a match."""
    said = rule.to_json()
    for match in said.get("matches", ()):
        del match["value"]
    return said


def _summary(found: CatalogModel, version: int) -> dict[str, Any]:
    state, reason = context().engine.loader.status(Version(found.name, version))
    stored = found.whole.get(version)
    manifest = stored.manifest if stored else None
    return version_summary(
        version, state, reason or found.faulty.get(version, ""), found.names_of(version), manifest
    )
