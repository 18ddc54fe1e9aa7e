"""The prediction routes: one blueprint for every model version, and one for everything that is routed.

A version is chosen by path (a number or tag), else by the header ``X-Model-Version``, else it is ``stable``.
"""

from __future__ import annotations

import time

from flask import Blueprint, Response, g, request
from werkzeug.exceptions import BadRequest

from app.api.body import read_json
from app.api.context import context
from app.api.json_provider import json_reply
from app.serving.catalog import Catalog
from app.serving.messages import Prediction, Target
from models.errors import ModelNotFound, NotFound
from schemas.predict import reply_body

VERSION_HEADER = "X-Model-Version"


def routed_blueprint() -> Blueprint:
    """The default model's short routes, every model's routed ones, and versions named by a tag."""
    routed = Blueprint("routed", __name__)
    _add(routed, "")
    _add(routed, "/v<int:version>")
    _add(routed, "/models/<name>")
    _add(routed, "/models/<name>/versions/<version>")
    return routed


def version_blueprints(catalog: Catalog) -> list[Blueprint]:
    """One blueprint for each version, with the default model's short paths beside its full ones."""
    made = []
    for target in catalog.targets():
        blueprint = Blueprint(f"{target.name}-{target.version}", __name__)
        fixed = {"name": target.name, "version": str(target.version)}
        _add(blueprint, f"/models/{target.name}/versions/{target.version}", fixed)
        if target.name == catalog.default:
            _add(blueprint, f"/v{target.version}", fixed)
        made.append(blueprint)
    return made


def _add(blueprint: Blueprint, prefix: str, fixed: dict[str, str] | None = None) -> None:
    for path, view in (("predict", predict), ("predict/batch", predict_batch)):
        rule = f"{prefix}/{path}"
        blueprint.add_url_rule(rule, rule.replace("/", "_"), view, methods=["POST"], defaults=fixed or {})


def predict(name: str | None = None, version: str | int | None = None) -> Response:
    """Answer one row."""
    began = time.perf_counter()
    target = _choose(name, version)
    rows, parameters = context().schemas(target).read_single(read_json())
    parsed = time.perf_counter()
    prediction = context().engine.predict(target, rows, parameters)
    return _reply(prediction, began, parsed, single=True)


def predict_batch(name: str | None = None, version: str | int | None = None) -> Response:
    """Answer many rows."""
    began = time.perf_counter()
    target = _choose(name, version)
    rows, parameters = context().schemas(target).read_batch(read_json())
    parsed = time.perf_counter()
    prediction = context().engine.predict(target, rows, parameters)
    return _reply(prediction, began, parsed, single=False)


def _choose(name: str | None, version: str | int | None) -> Target:
    """The version that path and header ask for; raises NotFound, or BadRequest when they contradict each other."""
    here = context()
    name = name or here.engine.catalog.default
    if name is None:
        raise ModelNotFound(here.settings.default_model, here.engine.catalog.models)
    header = request.headers.get(VERSION_HEADER, "").strip() or None
    if version is None:
        g.target = target = here.engine.route(name, header)
        return target
    target = here.engine.route(name, str(version))
    if header is not None and _routed_or_none(name, header) != target:
        raise BadRequest(
            f"the path asks for version {version}, the header {VERSION_HEADER} for {header[:64]!r}; leave one away"
        )
    g.target = target
    return target


def _routed_or_none(name: str, selector: str) -> Target | None:
    try:
        return context().engine.route(name, selector)
    except NotFound:
        return None


def _reply(prediction: Prediction, began: float, parsed: float, *, single: bool) -> Response:
    target = prediction.target
    answered = time.perf_counter()
    signature = context().schemas(target).signature
    body = reply_body(
        signature,
        prediction.outputs,
        target.name,
        target.version,
        single=single,
        prediction_id=prediction.prediction_id,
    )
    reply = json_reply(body)
    g.timing_ms = timing = {
        "parse": round((parsed - began) * 1000, 3),
        "queue": round(prediction.queue_seconds * 1000, 3),
        "predict": round(prediction.predict_seconds * 1000, 3),
        "encode": round((time.perf_counter() - answered) * 1000, 3),
    }
    reply.headers[VERSION_HEADER] = str(target.version)
    reply.headers["X-Prediction-Id"] = prediction.prediction_id
    reply.headers["Server-Timing"] = ", ".join(f"{stage};dur={ms}" for stage, ms in timing.items())
    return reply
