"""The components of the OpenAPI document: headers, problems and the bodies of each version."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

from apispec import APISpec
from marshmallow import INCLUDE, Schema

from app.api.documented import JSON
from models.manifest import Manifest
from models.names import SELECTOR_PATTERN
from models.signature import Signature
from schemas.errors import CONTENT_TYPE, ProblemSchema
from schemas.headers import (
    MODEL_ARM,
    MODEL_VERSION,
    OF_A_PREDICTION,
    PREDICTION_ID,
    REQUEST_ID,
    RETRY_AFTER,
    ROUTING_KEY,
    TIMING,
)
from schemas.predict import MANY, PredictSchemas
from schemas.properties import example_row, has_example, row_forms
from schemas.replies import ReplySchemas

#: The statuses with which any body can be refused.
STATUSES_OF_BODIES = ("400", "408", "413", "415", "422")

#: Status -> the description of its problem, and the detail of the example.
PROBLEMS = {
    "400": (
        "The body is not valid JSON or not a valid gzip stream, or header and path select different versions",
        "the body is not valid JSON at line 1, column 14",
    ),
    "401": (
        "The request has no valid token",
        "this route needs the header 'Authorization: Bearer ..' with an administrator's token",
    ),
    "404": (
        "The model or version does not exist; the detail lists those that do",
        "no model called 'other'; the store has: ..",
    ),
    "408": (
        "The body did not arrive in time",
        "the body did not arrive within 5 seconds; send it without pauses",
    ),
    "409": (
        "The current state forbids the change; the detail says why",
        "stable is version 3 by now, not 2",
    ),
    "413": ("The body is too large", "the body is larger than this server accepts; send fewer rows at once"),
    "415": (
        "The body is not declared as JSON, or has an encoding other than gzip",
        "send JSON with the header 'Content-Type: application/json'",
    ),
    "422": (
        "The input does not fit the model; `errors` lists every fault",
        "the input has 1 fault; see errors",
    ),
    "500": (
        "The model failed",
        "the server could not answer this request; its log has the details under the request id",
    ),
    "503": ("The version cannot answer now", "example:1 cannot be loaded; GET /ready says why"),
    "504": ("The deadline passed before the answer", "the answer did not come before the deadline"),
}
_FAULT = {"loc": ["features", "width"], "msg": "text is not allowed", "expected": "a number", "got": "4.2"}

#: Name -> the description of a header, its pattern, and whether every reply has it.
HEADERS = {
    REQUEST_ID: (
        "The id of the request, sent by the client or made by the server",
        "^[A-Za-z0-9._~+/=-]{1,128}$",
        True,
    ),
    MODEL_VERSION: ("The number of the version that answered", "^[1-9][0-9]{0,8}$", True),
    MODEL_ARM: ("The arm of the traffic rule that chose the version, if a rule did", "", False),
    PREDICTION_ID: ("The id of the prediction", "^[0-9a-f]{32}$", True),
    TIMING: ("Milliseconds spent in parse, queue, predict and encode", "", True),
    RETRY_AFTER: ("Seconds after which to try again", "^[1-9][0-9]*$", False),
    "WWW-Authenticate": ("How to authenticate", "", True),
}
#: Status -> headers of its replies, in addition to the id of the request.
MORE_HEADERS = {"503": (RETRY_AFTER,), "401": ("WWW-Authenticate",)}

#: The headers of a routed request: the description and the schema of each.
PARAMETERS = {
    MODEL_VERSION: (
        "A version's number, tag or alias; `stable` if it is missing or empty",
        {"type": "string", "pattern": f"^({SELECTOR_PATTERN[1:-1]})?$"},
    ),
    ROUTING_KEY: (
        "A traffic rule that divides requests gives all with one key the same version; "
        "the first 256 characters count",
        {"type": "string"},
    ),
}

#: A prefix of components that cannot be a model's, since names of models are lower case.
UNREADABLE = "Unreadable."

_EXAMPLE_ID = "7b1c5a0e4f2d4c8e9a63d1f0b2e85c47"


def add_components(spec: APISpec) -> None:
    """Add the headers, parameters and problems that operations of every route refer to."""
    components = spec.components
    for name, (description, pattern, always) in HEADERS.items():
        schema = {"type": "string", **({"pattern": pattern} if pattern else {})}
        components.header(name, {"description": description, "required": always, "schema": schema})
    for name, (description, schema) in PARAMETERS.items():
        components.parameter(name, "header", {"description": description, "schema": schema})
    components.schema("Problem", schema=ProblemSchema(unknown=INCLUDE))
    for status, (description, detail) in PROBLEMS.items():
        example = {
            "type": "about:blank",
            "title": HTTPStatus(int(status)).phrase,
            "status": int(status),
            "detail": detail,
            "request_id": "5f0c9d1e7a2b4c3d8e6f1a0b9c8d7e6f",
            **({"errors": [_FAULT]} if status == "422" else {}),
        }
        components.response(f"Problem{status}", _problem(description, example, MORE_HEADERS.get(status, ())))
    components.response("Problem", _problem("Any other reply is a problem"))


def _problem(
    description: str, example: dict[str, Any] | None = None, more: Iterable[str] = ()
) -> dict[str, Any]:
    content = {"schema": "Problem", **({"example": example} if example else {})}
    return {"description": description, "headers": headers(more), "content": {CONTENT_TYPE: content}}


def headers(names: Iterable[str] = ()) -> dict[str, str]:
    """Return references to the headers of a reply, beginning with the one that all replies have."""
    return {name: name for name in (REQUEST_ID, *names)}


class BodyComponents:
    """The writer of the components of versions: schemas, examples and replies."""

    def __init__(
        self, spec: APISpec, inline: Callable[[Schema], dict[str, Any]], rest: Callable[[], None]
    ) -> None:
        self._spec = spec
        #: Returns the property of a marshmallow schema.
        self._inline = inline
        #: Called wherever the work may be interrupted.
        self._rest = rest
        #: Name of a component -> the request body, which apispec needs in every operation.
        self.bodies: dict[str, dict[str, Any]] = {}

    def add(self, manifest: Manifest, schemas: PredictSchemas) -> str:
        """Add the components of a version, and return the prefix of their names."""
        signature = manifest.signature
        prefix = f"{manifest.name}.v{manifest.version}."
        components = self._spec.components
        rows = {"$ref": f"#/components/schemas/{prefix}Row"}
        single, batch = self._inline(schemas.single), self._inline(schemas.batch)
        single["properties"]["features"] = rows
        batch["properties"]["inputs"]["items"] = rows
        forms = [
            dict(single, title="Envelope"),
            *(dict(f, title="Bare object") for f in schemas.single_forms()),
        ]
        self._rest()
        components.schema(f"{prefix}Row", {"oneOf": row_forms(signature)})
        components.schema(f"{prefix}Request", {"anyOf": forms})
        components.schema(f"{prefix}BatchRequest", batch)
        self._rest()
        replies = ReplySchemas(signature, manifest.name)
        for kind, reply in (("Reply", replies.single), ("BatchReply", replies.batch)):
            if isinstance(reply, dict):
                components.schema(prefix + kind, reply)
            else:
                components.schema(prefix + kind, schema=reply)
        self._rest()
        one, many = reply_examples(manifest)
        self._body(f"{prefix}Request", request_examples(manifest))
        self._body(f"{prefix}BatchRequest", batch_examples(signature))
        self._reply(f"{prefix}Reply", one)
        self._reply(f"{prefix}BatchReply", many)
        return prefix

    def unreadable(self) -> str:
        """Add the components that all versions with an unreadable record share, and return their prefix."""
        if UNREADABLE + "Request" in self.bodies:
            return UNREADABLE
        for kind in ("Request", "BatchRequest"):
            self._spec.components.schema(
                UNREADABLE + kind, {"description": "The rows that the version takes"}
            )
            self._body(UNREADABLE + kind, {})
        for kind in ("Reply", "BatchReply"):
            self._spec.components.schema(UNREADABLE + kind, {"description": "The answer of the version"})
            self._reply(UNREADABLE + kind, None)
        return UNREADABLE

    def _body(self, name: str, examples: Mapping[str, Any]) -> None:
        media: dict[str, Any] = {"schema": name}
        if examples:
            media["examples"] = {form: f"{name}.{form}" for form in examples}
        for form, example in examples.items():
            self._spec.components.example(f"{name}.{form}", example)
        self.bodies[name] = {"required": True, "content": {JSON: media}}

    def _reply(self, name: str, example: Any) -> None:
        headers = {header: header for header in OF_A_PREDICTION}
        media = {"schema": name, **({} if example is None else {"example": example})}
        reply = {"description": "The prediction", "headers": headers, "content": {JSON: media}}
        self._spec.components.response(name, reply)


def request_examples(manifest: Manifest) -> dict[str, Any]:
    """Return bodies of the single route: the recorded example, then the other forms of the same row."""
    signature = manifest.signature
    recorded = manifest.example.get("request")
    forms: dict[str, Any] = {}
    if has_example((*signature.columns, *signature.parameters)):
        cells, others = _example_row(signature)
        forms["list"] = {"summary": "Values in order", "value": {"features": list(cells.values()), **others}}
        if signature.named:
            forms["named"] = {"summary": "Values by name", "value": {"features": cells, **others}}
        if "features" not in cells:
            forms["bare"] = {"summary": "Bare object", "value": {**cells, **others.get("parameters", {})}}
    if recorded is None:
        return forms
    same = next((name for name, form in forms.items() if form["value"] == recorded), None)
    first = {same: forms[same]} if same else {"recorded": {"summary": "Recorded example", "value": recorded}}
    return {**first, **{name: form for name, form in forms.items() if name != same}}


def batch_examples(signature: Signature) -> dict[str, Any]:
    """Return bodies of the batch route, with the example row twice."""
    if not has_example((*signature.columns, *signature.parameters)):
        return {}
    cells, others = _example_row(signature)
    in_order = {"summary": "Rows in order", "value": {"inputs": [list(cells.values())] * 2, **others}}
    by_name = {"summary": "Rows by name", "value": {"inputs": [cells] * 2, **others}}
    if signature.numeric or not signature.named:
        return {"list": in_order, **({"named": by_name} if signature.named else {})}
    return {"named": by_name, "list": in_order}


def reply_examples(manifest: Manifest) -> tuple[Any, Any]:
    """Return the replies to the single and to the batch example; None without a recorded answer."""
    signature, recorded = manifest.signature, manifest.example.get("response", {})
    if "prediction" not in recorded:
        return None, None
    answer, stamp = recorded["prediction"], signature.output.version_column
    if stamp is not None:
        answer = [{**record, stamp: str(manifest.version)} for record in answer]
    if signature.bare:
        return answer, [answer] * 2
    about = {
        "model": manifest.name,
        "model_version": str(manifest.version),
        "prediction_id": _EXAMPLE_ID,
    }
    one = {**recorded, "prediction": answer}
    many = {MANY[member]: [value] * 2 for member, value in one.items()}
    return {**one, **about}, {**many, **about}


def _example_row(signature: Signature) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the example row by name, and the member with the parameters, if the signature has any."""
    cells = example_row(signature)
    parameters = {p.name: p.example for p in signature.parameters}
    return cells, {"parameters": parameters} if parameters else {}
