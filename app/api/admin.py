"""The operations over HTTP, for administrators. The routes exist only where a token is configured."""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from flask import Blueprint, Response, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from app.api.context import this_context
from app.api.documented import ADMINISTRATION, documented
from app.api.json_provider import json_reply
from app.api.request import read_json, this_request
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

#: The description of a route that changes something: ``documented`` with the reply that all have in common.
_change = partial(
    documented,
    group=ADMINISTRATION,
    reply=OutcomeSchema,
    success="The change is made, and every worker of this host serves it",
    also={"202": "The change is made, but not every worker serves it yet"},
    problems=("409", "503"),
)


@blueprint.before_request
def check_token() -> None:
    """Refuse a request without a valid token (RFC 6750).

    The token is compared with every valid one, each in constant time.
    """
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    token = credentials.strip().encode("latin-1", "replace")
    valid = sum(hmac.compare_digest(token, known) for known in this_context().admin_tokens)
    if scheme.lower() != "bearer" or not valid:
        raise Unauthorized(
            "this route needs the header 'Authorization: Bearer ..' with an administrator's token",
            www_authenticate=WWWAuthenticate("bearer", {"realm": "plumbline"}),
        )


@blueprint.post("/models/<name>/promote")
@_change("admin.promote", "Promote a version to stable", body=PromoteSchema)
def promote(name: str) -> Response:
    """Promote a version to stable."""
    body = load(PromoteSchema, _body())
    version = _version(name, body["version"])
    return _reply(_operations().promote(name, version, _intent(body), if_better=body["if_better"]))


@blueprint.post("/models/<name>/rollback")
@_change(
    "admin.rollback",
    "Restore the previous stable version",
    body=RollbackSchema,
    body_required=False,
)
def rollback(name: str) -> Response:
    """Restore the previous stable version."""
    body = load(RollbackSchema, _body())
    check_model_name(name)
    return _reply(_operations().rollback(name, _intent(body)))


@blueprint.post("/models/<name>/tag")
@_change("admin.tag", "Set a tag of a version", body=TagSchema)
def tag(name: str) -> Response:
    """Set a tag of a version."""
    body = load(TagSchema, _body())
    version = _version(name, body["version"])
    return _reply(_operations().tag(name, version, body["tag"], _intent(body)))


@blueprint.put("/models/<name>/traffic")
@_change("admin.traffic", "Set the traffic rule of a model", body=TrafficSchema)
def set_traffic(name: str) -> Response:
    """Set the traffic rule of a model."""
    body = load(TrafficSchema, _body())
    check_model_name(name)
    return _reply(_operations().traffic(name, read_rule(body["rule"]), _intent(body)))


@blueprint.delete("/models/<name>/traffic")
@_change(
    "admin.traffic_off",
    "Remove the traffic rule of a model",
    body=ReasonSchema,
    body_required=False,
)
def clear_traffic(name: str) -> Response:
    """Remove the traffic rule of a model."""
    body = load(ReasonSchema, _body())
    check_model_name(name)
    return _reply(_operations().traffic(name, None, _intent(body)))


@blueprint.get("/models/<name>/history")
@documented(
    "admin.history",
    "History of a model: its changes, their authors and reasons",
    ADMINISTRATION,
    HistorySchema,
)
def history(name: str) -> Response:
    """Return every change of the model, oldest first."""
    return json_reply({"name": name, "history": _operations().history(name)})


@blueprint.get("/workers")
@documented("admin.workers", "Workers of this host, and what each serves", ADMINISTRATION, WorkersSchema)
def workers() -> Response:
    """Return the workers of this host, and what each of them serves."""
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
@_change("admin.reload", "Make every worker read the store again", problems=("503",))
def reload() -> Response:
    """Make every worker read the store again."""
    return _reply(_operations().reload())


def _operations() -> Operations:
    operations = this_context().operations
    assert operations is not None
    return operations


def _body() -> Any:
    """Return the JSON body, or an empty object for a request without a body."""
    if not request.content_length and "Transfer-Encoding" not in request.headers:
        return {}
    return read_json(this_request())[0]


def _version(name: str, selector: Any) -> int:
    """Return the number of the version that a number, a number as text, or a tag selects. Raises NotFound."""
    return _operations().resolve(name, str(selector)[:100])


def _intent(body: Mapping[str, Any]) -> Intent:
    """Return the reason and the author of a change, and the version that the client expects to be stable."""
    return Intent(body["reason"], f"admin at {request.remote_addr or 'unknown'}", body.get("expected"))


def _reply(outcome: Outcome) -> Response:
    """Return the reply to a change: 202 while not every worker serves it, else 200."""
    return json_reply(outcome.to_json(time.time()), 200 if outcome.complete else 202)
