"""Whether the process is alive, whether it can answer, and what it counts."""

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
@documented("health", "Is the process alive?", SERVICE, HealthSchema, success="It is")
def health() -> Response:
    """The process answers."""
    return json_reply({"status": "healthy"})


@blueprint.get("/ready")
@blueprint.get("/readyz")
@documented(
    "ready",
    "Should requests be sent here, and what is the state of each model?",
    SERVICE,
    ReadySchema,
    success="Every model has been tried and at least one can answer",
    also={
        "503": "Models are still loading, the worker is about to end, or no or a required model cannot answer"
    },
)
def ready() -> Response:
    """Whether requests should be sent here, and the state of each model and version."""
    context = this_context()
    models = {name: _model_state(context, name) for name in context.engine.snapshot.models}
    status, reason = _readiness(context, {name: state["state"] for name, state in models.items()})
    body = {"status": status, **({"reason": reason} if reason else {}), "models": models}
    return json_reply(body, 200 if status == "ready" else 503)


@blueprint.get("/version")
@documented("version", "Which release is this?", SERVICE, ReleaseSchema)
def version() -> Response:
    """The release that answers, the generation of the store that it serves, and the Flask that it runs on."""
    generation = this_context().engine.snapshot.generation
    return json_reply({"version": VERSION, "generation": generation, "flask": class_of().to_json()})


@blueprint.get("/metrics")
@documented(
    "metrics",
    "What have all workers counted?",
    SERVICE,
    media_types=("text/plain",),
    success="Prometheus's text format",
    setting="metrics",
)
def metrics() -> Response:
    """Everything counted by all workers."""
    context = this_context()
    if not context.settings.metrics:
        abort(404)
    return Response(context.metrics.page(), content_type=CONTENT_TYPE)


def _model_state(context: Context, name: str) -> dict[str, Any]:
    state, reason = context.engine.residency.model_status(name)
    versions = {}
    for number in context.engine.snapshot.models[name].versions:
        of_version, why = context.engine.residency.status(Version(name, number))
        versions[str(number)] = {"state": of_version, **({"reason": why} if why else {})}
    stand_in = context.engine.routing.stand_ins.get(name)
    if stand_in is not None:
        reason = f"version {stand_in.number} answers in the place of the stable one"
    return {"state": state, **({"reason": reason} if reason else {}), "versions": versions}


def _readiness(context: Context, states: dict[str, str]) -> tuple[str, str]:
    able = {name for name, state in states.items() if state in ("ready", "lazy")}
    missing = [name for name in context.settings.required_models if name not in able]
    if context.draining():
        return "draining", "the worker finishes its requests and ends"
    if not context.engine.residency.is_started:
        return "loading", "models are being loaded"
    if not able:
        if context.engine.snapshot.fault:
            return "unable", UNREADABLE
        return "unable", "no model can answer" if states else "the store is empty"
    if missing:
        return "unable", f"required models cannot answer: {', '.join(missing)}"
    return "ready", ""
