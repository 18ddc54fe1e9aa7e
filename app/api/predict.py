"""The prediction routes: one blueprint for every model version, and one for everything that is routed.

A version is chosen by path (a number or tag), else by the header ``X-Model-Version``, else it is ``stable``.
"""

from __future__ import annotations

import time
from functools import partial
from typing import cast

from flask import Blueprint, Response
from werkzeug.exceptions import BadRequest
from werkzeug.routing import BaseConverter

from app.api.body import read_json
from app.api.context import Context, context
from app.api.json_provider import json_reply
from app.api.request import PlainRequest, this_request
from app.catalog.snapshot import Catalog
from app.concurrency.client import hung_up
from app.inference.batcher import never
from app.inference.messages import Prediction
from app.monitoring.access_log import SERVER_TIMING
from models.errors import InputError, NoDefaultModel, NotFound
from models.names import Version
from models.traffic import Rule
from schemas.predict import PredictSchemas, reply_body

VERSION_HEADER, VERSION_KEY = "X-Model-Version", "HTTP_X_MODEL_VERSION"
#: Why the version was chosen, where a traffic rule chose it; and what a request wants to stick to.
ARM_HEADER, ROUTING_KEY = "X-Model-Arm", "HTTP_X_ROUTING_KEY"
MAX_KEY = 256


class NumberConverter(BaseConverter):
    """What may be a version number in a path: digits, and not those of another script."""

    regex = "[0-9]+"


def routed_blueprint() -> Blueprint:
    """The default model's short routes, every model's routed ones, and versions named by a tag."""
    routed = Blueprint("routed", __name__)
    _add(routed, "")
    _add(routed, "/v<number:version>")
    _add(routed, "/models/<name>")
    _add(routed, "/models/<name>/versions/<version>")
    return routed


def version_blueprints(catalog: Catalog) -> list[Blueprint]:
    """One blueprint for each version, with the default model's short paths beside its full ones."""
    made = []
    for target in catalog.targets():
        blueprint = Blueprint(f"{target.name}-{target.number}", __name__)
        fixed = {"name": target.name, "version": str(target.number)}
        _add(blueprint, f"/models/{target.name}/versions/{target.number}", fixed)
        if target.name == catalog.default:
            _add(blueprint, f"/v{target.number}", fixed)
        made.append(blueprint)
    return made


def _add(blueprint: Blueprint, prefix: str, fixed: dict[str, str] | None = None) -> None:
    for path, view in (("predict", predict), ("predict/batch", predict_batch)):
        rule = f"{prefix}/{path}"
        blueprint.add_url_rule(rule, rule.replace("/", "_"), view, methods=["POST"], defaults=fixed or {})


def predict(**chosen: str) -> Response:
    """Answer one row."""
    return _answer(single=True, **chosen)


def predict_batch(**chosen: str) -> Response:
    """Answer many rows."""
    return _answer(single=False, **chosen)


def _answer(*, single: bool, name: str | None = None, version: str | None = None) -> Response:
    began = time.perf_counter()
    request = this_request()
    here = request.here
    target, shadow = _choose(here, request, name, version)
    schemas = here.schemas(target)
    body, numbers = request.parsed or read_json(request)
    read = schemas.read_single if single else schemas.read_batch
    rows, parameters = read(body, numbers=numbers)
    bare = single and schemas.is_bare(body)
    # Freed here, the many small values of a large body are still in the processor's cache; after the wait they are not.
    del body
    parsed = time.perf_counter()
    connection = request.environ.get("gunicorn.socket")
    is_gone = never if connection is None else partial(hung_up, connection)
    try:
        prediction = here.engine.predict(target, rows, parameters, is_gone)
    except InputError as error:
        raise schemas.located(error, single=single, bare=bare) from error
    if shadow is not None:
        here.engine.shadow(shadow, prediction)
    return _reply(request, schemas, prediction, began, parsed, single=single)


def _choose(
    here: Context, request: PlainRequest, name: str | None, version: str | None
) -> tuple[Version, Version | None]:
    """The version that path and header ask for, or that the model's traffic rule picks, and the one to be asked beside it.

    Raises NotFound, or BadRequest when path and header contradict each other.
    """
    engine = here.engine
    catalog = engine.catalog
    name = name or catalog.default
    if name is None:
        catalog.check()
        raise NoDefaultModel(here.settings.default_model, catalog.models)
    header = request.environ.get(VERSION_KEY)
    header = (header and header.strip()) or None
    if version is None:
        rule = catalog.rules.get(name) if header is None else None
        if rule is not None:
            return _divide(here, request, name, rule)
        request.target = target = engine.route(name, header)
        return target, None
    target = engine.route(name, version)
    if header is not None and _routed_or_none(name, header) != target:
        raise BadRequest(
            f"the path asks for version {version}, the header {VERSION_HEADER} for {header[:64]!r}; leave one away"
        )
    request.target = target
    return target, None


def _divide(here: Context, request: PlainRequest, name: str, rule: Rule) -> tuple[Version, Version | None]:
    environ = request.environ

    def key() -> str:
        """What the request sticks to: its own key, the value of a column, or nothing but itself."""
        given: str = environ.get(ROUTING_KEY, "")
        if given:
            return given[:MAX_KEY]
        if rule.key:
            request.parsed = parsed = read_json(request)
            value = here.schemas(here.engine.route(name)).value_of(parsed[0], rule.key)
            if value is not None:
                return value[:MAX_KEY]
        return request.request_id

    def header(named: str) -> str | None:
        return cast("str | None", environ.get("HTTP_" + named.upper().replace("-", "_")))

    route = here.engine.divide(name, rule, key, header)
    request.target, request.arm = route.target, route.arm
    return route.target, route.shadow


def _routed_or_none(name: str, selector: str) -> Version | None:
    try:
        return context().engine.route(name, selector)
    except NotFound:
        return None


def _reply(
    request: PlainRequest,
    schemas: PredictSchemas,
    prediction: Prediction,
    began: float,
    parsed: float,
    *,
    single: bool,
) -> Response:
    target, answer = prediction.target, prediction.answer
    answered = time.perf_counter()
    body = reply_body(
        schemas.signature,
        answer.outputs,
        target.name,
        target.number,
        single=single,
        prediction_id=prediction.prediction_id,
    )
    reply = json_reply(body)
    encode_seconds = time.perf_counter() - answered
    request.timing = SERVER_TIMING % (
        (parsed - began) * 1e3,
        answer.queue_seconds * 1e3,
        answer.predict_seconds * 1e3,
        encode_seconds * 1e3,
    )
    reply.pairs += [
        (VERSION_HEADER, str(target.number)),
        ("X-Prediction-Id", prediction.prediction_id),
        ("Server-Timing", request.timing),
    ]
    if request.arm:
        reply.pairs.append((ARM_HEADER, request.arm))
    return reply
