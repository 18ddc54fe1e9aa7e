"""The operations over HTTP, for clients with the token; these routes exist only where one is configured."""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from flask import Blueprint, Response, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from app.api.body import read_json
from app.api.context import this_context
from app.api.documented import ADMINISTRATION, documented
from app.api.json_provider import json_reply
from app.api.request import this_request
from app.operations.operations import Intent, Operations, Outcome
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
    """Refuse a request without a valid token (RFC 6750). All tokens are compared, each in constant time."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    token = given.strip().encode("latin-1", "replace")
    valid = sum(hmac.compare_digest(token, known) for known in this_context().admin_tokens)
    if scheme.lower() != "bearer" or not valid:
        raise Unauthorized(
            "this route needs the header 'Authorization: Bearer ..' with an administrator's token",
            www_authenticate=WWWAuthenticate("bearer", {"realm": "plumbline"}),
        )


@blueprint.post("/models/<name>/promote")
@_change("admin.promote", "Let a version be stable", body=PromoteSchema)
def promote(name: str) -> Response:
    """Let a version be stable."""
    body = load(PromoteSchema, _body())
    version = _version(name, body["version"])
    return _reply(_operations().promote(name, version, _intent(body), if_better=body["if_better"]))


@blueprint.post("/models/<name>/rollback")
@_change(
    "admin.rollback",
    "Let the version be stable that was before",
    body=RollbackSchema,
    body_required=False,
)
def rollback(name: str) -> Response:
    """Let the version be stable that was before."""
    body = load(RollbackSchema, _body())
    check_model_name(name)
    return _reply(_operations().rollback(name, _intent(body)))


@blueprint.post("/models/<name>/tag")
@_change("admin.tag", "Let a tag name a version", body=TagSchema)
def tag(name: str) -> Response:
    """Let a tag name a version."""
    body = load(TagSchema, _body())
    version = _version(name, body["version"])
    return _reply(_operations().tag(name, version, body["tag"], _intent(body)))


@blueprint.put("/models/<name>/traffic")
@_change("admin.traffic", "Let a rule decide which version a request gets", body=TrafficSchema)
def set_traffic(name: str) -> Response:
    """Let a rule decide which version a request gets."""
    body = load(TrafficSchema, _body())
    check_model_name(name)
    return _reply(_operations().traffic(name, read_rule(body["rule"]), _intent(body)))


@blueprint.delete("/models/<name>/traffic")
@_change(
    "admin.traffic_off",
    "Let the stable version have every request",
    body=ReasonSchema,
    body_required=False,
)
def clear_traffic(name: str) -> Response:
    """Let the stable version have every request."""
    body = load(ReasonSchema, _body())
    check_model_name(name)
    return _reply(_operations().traffic(name, None, _intent(body)))


@blueprint.get("/models/<name>/history")
@documented("admin.history", "What was changed, by whom and why?", ADMINISTRATION, HistorySchema)
def history(name: str) -> Response:
    """Every change of the model, oldest first."""
    return json_reply({"name": name, "history": _operations().history(name)})


@blueprint.get("/workers")
@documented(
    "admin.workers", "Which workers are there, and what does each serve?", ADMINISTRATION, WorkersSchema
)
def workers() -> Response:
    """The workers of this host, and what each of them serves."""
    now = time.time()
    documents = [
        {
            "slot": worker.slot,
            "pid": worker.pid or None,
            "generation": worker.generation or None,
            "running_seconds": round(now - worker.started, 1) if worker.started else None,
            "silent_seconds": round(now - worker.seen, 1) if worker.seen else None,
            "faults": worker.faults,
        }
        for worker in _operations().workers()
    ]
    return json_reply({"workers": documents})


@blueprint.post("/reload")
@_change("admin.reload", "Let every worker read the store anew", problems=("503",))
def reload() -> Response:
    """Let every worker read the store anew."""
    return _reply(_operations().reload())


def _operations() -> Operations:
    operations = this_context().operations
    assert operations is not None
    return operations


def _body() -> Any:
    """The JSON body; none at all is an empty object."""
    if not request.content_length and "Transfer-Encoding" not in request.headers:
        return {}
    return read_json(this_request())[0]


def _version(name: str, selector: Any) -> int:
    """The version that a number, a number as text, or a tag names; raises NotFound."""
    return _operations().resolve(name, str(selector)[:100])


def _intent(body: Mapping[str, Any]) -> Intent:
    """Why the client changes something, and who it is; ``expected`` where the route takes it."""
    return Intent(body["reason"], f"admin at {request.remote_addr or 'unknown'}", body.get("expected"))


def _reply(outcome: Outcome) -> Response:
    """202 when the change is made, and not every worker serves it yet."""
    return json_reply(outcome.to_json(time.time()), 200 if outcome.complete else 202)
