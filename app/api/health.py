"""The routes of probes and scrapers: liveness, readiness, the release and the metrics."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, abort

from app.api.context import Context, this_context
from app.api.documented import SERVICE, documented
from app.api.flask_class import class_of
from app.api.json_provider import json_reply
from app.catalog.snapshot import UNREADABLE
from app.config import VERSION
from app.monitoring.metrics import CONTENT_TYPE
from models.names import Version
from schemas.service import HealthSchema, ReadySchema, ReleaseSchema

blueprint = Blueprint("health", __name__)


@blueprint.get("/health")
@blueprint.get("/healthz")
@blueprint.get("/livez")
@documented("health", "Liveness of the process", SERVICE, HealthSchema, success="The process is alive")
def health() -> Response:
    """Answer that the process is alive."""
    return json_reply({"status": "healthy"})


@blueprint.get("/ready")
@blueprint.get("/readyz")
@documented(
    "ready",
    "Readiness of the server, and the state of each model",
    SERVICE,
    ReadySchema,
    success="All start-up loads have ended, and at least one model can answer",
    also={
        "503": "Models are loading, the worker shuts down, or no model or not all required ones can answer"
    },
)
def ready() -> Response:
    """Return whether the server is ready, and the state of each model and version."""
    context = this_context()
    models = {name: _model_state(context, name) for name in context.engine.snapshot.models}
    status, reason = _readiness(context, {name: state["state"] for name, state in models.items()})
    body = {"status": status, **({"reason": reason} if reason else {}), "models": models}
    return json_reply(body, 200 if status == "ready" else 503)


@blueprint.get("/version")
@documented("version", "Release of the server", SERVICE, ReleaseSchema)
def version() -> Response:
    """Return the release, the generation of the store in use, and the versions of Flask and Werkzeug."""
    generation = this_context().engine.snapshot.generation
    return json_reply({"version": VERSION, "generation": generation, "flask": class_of().to_json()})


@blueprint.get("/metrics")
@documented(
    "metrics",
    "Metrics of all workers",
    SERVICE,
    media_types=("text/plain",),
    success="Metrics in the text format of Prometheus",
    setting="metrics",
)
def metrics() -> Response:
    """Return the metrics of all workers."""
    context = this_context()
    if not context.settings.metrics:
        abort(404)
    return Response(context.metrics.page(), content_type=CONTENT_TYPE)


def _model_state(context: Context, name: str) -> dict[str, Any]:
    state, reason = context.engine.residency.model_status(name)
    versions = {}
    for number in context.engine.snapshot.models[name].versions:
        version_state, version_reason = context.engine.residency.status(Version(name, number))
        versions[str(number)] = {
            "state": version_state,
            **({"reason": version_reason} if version_reason else {}),
        }
    stand_in = context.engine.routing.stand_ins.get(name)
    if stand_in is not None:
        reason = f"version {stand_in.number} answers in place of the stable version"
    return {"state": state, **({"reason": reason} if reason else {}), "versions": versions}


def _readiness(context: Context, states: dict[str, str]) -> tuple[str, str]:
    """Return the status of the server and its reason; ``states`` are those of the models by name."""
    usable = {name for name, state in states.items() if state in ("ready", "lazy")}
    missing = [name for name in context.settings.required_models if name not in usable]
    if context.draining():
        return "draining", "the worker finishes its requests and shuts down"
    if not context.engine.residency.is_started:
        return "loading", "models are being loaded"
    if not usable:
        if context.engine.snapshot.fault:
            return "unable", UNREADABLE
        return "unable", "no model can answer" if states else "the store is empty"
    if missing:
        return "unable", f"required models cannot answer: {', '.join(missing)}"
    return "ready", ""
