"""Which models there are, and what is known about each version."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from app.api.context import context
from app.api.json_provider import json_reply
from app.serving.catalog import CatalogModel
from app.serving.messages import Target
from schemas.catalog import version_metadata, version_summary

blueprint = Blueprint("catalog", __name__)


@blueprint.get("/models")
def models() -> Response:
    """Every model, with its versions and names."""
    catalog = context().engine.catalog
    catalog.check()
    return json_reply({"models": [summary(model) for model in catalog.models.values()]})


@blueprint.get("/models/<name>")
def model(name: str) -> Response:
    """One model, with what is known about each of its versions."""
    found = context().engine.catalog.model(name)
    return json_reply({**summary(found), "versions": [_summary(found, v) for v in found.versions]})


@blueprint.get("/models/<name>/versions/<version>")
def version(name: str, version: str) -> Response:
    """Everything recorded about one version, chosen by number, tag or alias."""
    engine = context().engine
    target = engine.route(name, version)
    found = engine.catalog.model(name)
    summary, batching = _summary(found, target.version), engine.loader.about(target)
    return json_reply(version_metadata(summary, engine.catalog.manifest(target), batching))


@blueprint.get("/models/<name>/ready")
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
    }


def _summary(found: CatalogModel, version: int) -> dict[str, Any]:
    state, reason = context().engine.loader.status(Target(found.name, version))
    stored = found.whole.get(version)
    manifest = stored.manifest if stored else None
    return version_summary(
        version, state, reason or found.faulty.get(version, ""), found.names_of(version), manifest
    )
