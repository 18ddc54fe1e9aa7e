"""The verbs over HTTP, for whoever holds the token; without one configured these routes do not exist."""

from __future__ import annotations

import hmac
import time
from functools import partial
from typing import Any

from flask import Blueprint, Response, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from app.api.body import read_json
from app.api.context import context
from app.api.documented import ADMINISTRATION, documented
from app.api.json_provider import json_reply
from app.api.request import this_request
from app.operations.operations import Outcome, Verbs
from models.names import check_model_name
from models.traffic import read_rule
from schemas.admin import (
    HistorySchema,
    OutcomeSchema,
    PromoteSchema,
    ReasonSchema,
    RollbackSchema,
    TagSchema,
    TrafficSchema,
    WorkersSchema,
    load,
)

blueprint = Blueprint("admin", __name__, url_prefix="/admin")

#: What every change is answered with.
_change = partial(
    documented,
    group=ADMINISTRATION,
    reply=OutcomeSchema,
    success="Every worker of this host serves the change",
    also={"202": "The change is made, and not every worker serves it yet"},
    problems=("409", "503"),
)


@blueprint.before_request
def check_token() -> None:
    """Let nobody pass without a valid token (RFC 6750). All tokens are compared, each in constant time."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    token = given.strip().encode("latin-1", "replace")
    valid = sum(hmac.compare_digest(token, known) for known in context().admin_tokens)
    if scheme.lower() != "bearer" or not valid:
        raise Unauthorized(
            "this route needs the header 'Authorization: Bearer ..' with an administrator's token",
            www_authenticate=WWWAuthenticate("bearer", {"realm": "plumbline"}),
        )


@blueprint.post("/models/<name>/promote")
@_change("admin.promote", "Let a version be stable", body=PromoteSchema)
def promote(name: str) -> Response:
    """Let a version be stable."""
    said = load(PromoteSchema, _body())
    version = _version(name, said["version"])
    outcome = _verbs().promote(
        name,
        version,
        expected=said["expected"],
        if_better=said["if_better"],
        why=said["reason"],
        who=_who(),
    )
    return _reply(outcome)


@blueprint.post("/models/<name>/rollback")
@_change(
    "admin.rollback",
    "Let the version be stable that was before",
    body=RollbackSchema,
    body_required=False,
)
def rollback(name: str) -> Response:
    """Let the version be stable that was before."""
    said = load(RollbackSchema, _body())
    check_model_name(name)
    return _reply(_verbs().rollback(name, expected=said["expected"], why=said["reason"], who=_who()))


@blueprint.post("/models/<name>/tag")
@_change("admin.tag", "Let a tag name a version", body=TagSchema)
def tag(name: str) -> Response:
    """Let a tag name a version."""
    said = load(TagSchema, _body())
    version = _version(name, said["version"])
    return _reply(_verbs().tag(name, version, said["tag"], why=said["reason"], who=_who()))


@blueprint.put("/models/<name>/traffic")
@_change("admin.traffic", "Let a rule decide which version a request gets", body=TrafficSchema)
def set_traffic(name: str) -> Response:
    """Let a rule decide which version a request gets."""
    said = load(TrafficSchema, _body())
    check_model_name(name)
    return _reply(_verbs().traffic(name, read_rule(said["rule"]), why=said["reason"], who=_who()))


@blueprint.delete("/models/<name>/traffic")
@_change(
    "admin.traffic_off",
    "Let the stable version have every request",
    body=ReasonSchema,
    body_required=False,
)
def clear_traffic(name: str) -> Response:
    """Let the stable version have every request."""
    said = load(ReasonSchema, _body())
    check_model_name(name)
    return _reply(_verbs().traffic(name, None, why=said["reason"], who=_who()))


@blueprint.get("/models/<name>/history")
@documented("admin.history", "What was changed, by whom and why?", ADMINISTRATION, HistorySchema)
def history(name: str) -> Response:
    """Every change of the model, oldest first."""
    return json_reply({"name": name, "history": _verbs().history(name)})


@blueprint.get("/workers")
@documented(
    "admin.workers", "Which workers are there, and what does each serve?", ADMINISTRATION, WorkersSchema
)
def workers() -> Response:
    """The workers of this host, and what each of them serves."""
    now = time.time()
    found = [
        {
            "slot": worker.slot,
            "pid": worker.pid or None,
            "generation": worker.generation or None,
            "running_seconds": round(now - worker.started, 1) if worker.started else None,
            "silent_seconds": round(now - worker.seen, 1) if worker.seen else None,
            "faults": worker.faults,
        }
        for worker in _verbs().workers()
    ]
    return json_reply({"workers": found})


@blueprint.post("/reload")
@_change("admin.reload", "Let every worker read the store anew", problems=("503",))
def reload() -> Response:
    """Let every worker read the store anew."""
    return _reply(_verbs().reload())


def _verbs() -> Verbs:
    found = context().verbs
    assert found is not None
    return found


def _body() -> Any:
    """The JSON body; none at all is an empty object."""
    if not request.content_length and "Transfer-Encoding" not in request.headers:
        return {}
    return read_json(this_request())[0]


def _version(name: str, selector: Any) -> int:
    """The version that a number, a number as text, or a tag names; raises NotFound."""
    return _verbs().resolve(name, str(selector)[:100])


def _who() -> str:
    return f"admin at {request.remote_addr or 'unknown'}"


def _reply(outcome: Outcome) -> Response:
    """202 when the change is made, and not every worker serves it yet."""
    return json_reply(outcome.to_json(time.time()), 200 if outcome.complete else 202)
