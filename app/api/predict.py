"""The prediction routes: one blueprint for every model version, and one for everything that is routed.

The path selects the version (by number or tag), else the header ``X-Model-Version``, else the model's traffic
rule, else the version is ``stable``.
"""

from __future__ import annotations

import time

from flask import Blueprint, Response
from werkzeug.exceptions import BadRequest
from werkzeug.routing import BaseConverter

from app.api.json_provider import JsonReply
from app.api.protocols.native import NATIVE
from app.api.protocols.protocol import HttpAsk, Protocol
from app.api.request import PlainRequest, this_request
from app.catalog.snapshot import Snapshot
from app.inference.messages import Ask
from app.monitoring.access_log import SERVER_TIMING
from models.errors import NotFound
from schemas.headers import MODEL_ARM, MODEL_VERSION, PREDICTION_ID, TIMING, in_environ

#: The key of the header in a WSGI environ.
VERSION_KEY = in_environ(MODEL_VERSION)


class NumberConverter(BaseConverter):
    """The converter of version numbers in paths, which are ASCII digits."""

    regex = "[0-9]+"


def routed_blueprint() -> Blueprint:
    """Build the blueprint of the routes whose version is selected for each request.

    These are the short routes of the default model, the routes of every model, and versions by tag.
    """
    routed = Blueprint("routed", __name__)
    _add(routed, "")
    _add(routed, "/v<number:version>")
    _add(routed, "/models/<name>")
    _add(routed, "/models/<name>/versions/<version>")
    return routed


def version_blueprints(snapshot: Snapshot) -> list[Blueprint]:
    """Build one blueprint for each version: its full paths, and the short ones of the default model."""
    blueprints = []
    for target in snapshot.targets:
        blueprint = Blueprint(f"{target.name}-{target.number}", __name__)
        fixed = {"name": target.name, "version": str(target.number)}
        _add(blueprint, f"/models/{target.name}/versions/{target.number}", fixed)
        if target.name == snapshot.default:
            _add(blueprint, f"/v{target.number}", fixed)
        blueprints.append(blueprint)
    return blueprints


def _add(blueprint: Blueprint, prefix: str, fixed: dict[str, str] | None = None) -> None:
    for path, view in (("predict", predict), ("predict/batch", predict_batch)):
        rule = f"{prefix}/{path}"
        blueprint.add_url_rule(rule, rule.replace("/", "_"), view, methods=["POST"], defaults=fixed or {})


def predict(name: str | None = None, version: str | None = None) -> Response:
    """Predict one row."""
    return answer(NATIVE, name, version, is_single=True)


def predict_batch(name: str | None = None, version: str | None = None) -> Response:
    """Predict many rows."""
    return answer(NATIVE, name, version, is_single=False)


def answer(protocol: Protocol, name: str | None, version: str | None, *, is_single: bool) -> Response:
    """Decode the request, ask the engine for the prediction, and encode the reply in the given protocol."""
    started_at = time.perf_counter()
    request = this_request()
    engine = request.context.engine
    header = request.environ.get(VERSION_KEY)
    header = (header and header.strip()) or None
    ask = HttpAsk(request, protocol, name, version or header, is_single=is_single)
    if version is not None and header is not None:
        _check_agreement(request, ask, header)
    request.ask = ask
    prediction = engine.ask(ask)
    answered_at = time.perf_counter()
    reply = protocol.encode(ask, prediction)
    request.timing = SERVER_TIMING % (
        (ask.read_at - started_at) * 1e3,
        prediction.answer.queue_seconds * 1e3,
        prediction.answer.predict_seconds * 1e3,
        (time.perf_counter() - answered_at) * 1e3,
    )
    pairs = [
        (MODEL_VERSION, str(prediction.target.number)),
        (PREDICTION_ID, prediction.prediction_id),
        (TIMING, request.timing),
    ]
    arm = ask.route.arm if ask.route is not None else ""
    if arm:
        pairs.append((MODEL_ARM, arm))
    if isinstance(reply, JsonReply) and reply.is_plain:
        reply.pairs += pairs
    else:
        reply.headers.extend(pairs)
    return reply


def _check_agreement(request: PlainRequest, ask: Ask, header: str) -> None:
    """Raise BadRequest if path and header select different versions, NotFound for an unknown version."""
    engine = request.context.engine
    target = engine.route(ask).target
    try:
        agrees = engine.routing.resolve(target.name, header) == target
    except NotFound:
        agrees = False
    if not agrees:
        raise BadRequest(
            f"the path selects version {ask.selector}, the header {MODEL_VERSION} {header[:64]!r}; "
            "send only one"
        )
