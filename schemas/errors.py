"""The body of an error reply (RFC 9457), and the conversion of marshmallow's messages to located faults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from marshmallow import Schema, fields

from models.errors import Fault
from schemas.cells import shown
from schemas.matrix import MAX_FAULTS, unknown_name

CONTENT_TYPE = "application/problem+json"


class FaultSchema(Schema):
    """One fault of an input."""

    loc = fields.List(
        fields.Raw(metadata={"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        required=True,
        metadata={"description": "The location: names and row numbers", "examples": [["inputs", 3]]},
    )
    msg = fields.String(required=True, metadata={"description": "What is wrong"})
    expected = fields.String(required=True, metadata={"description": "What was expected"})
    got = fields.Raw(required=True, metadata={"description": "What was sent, shortened"})


class ProblemSchema(Schema):
    """Problem details for HTTP APIs (RFC 9457)."""

    type = fields.String(required=True, metadata={"examples": ["about:blank"]})
    title = fields.String(required=True, metadata={"examples": ["Unprocessable Entity"]})
    status = fields.Integer(required=True, metadata={"examples": [422]})
    detail = fields.String(required=True)
    request_id = fields.String(required=True)
    errors = fields.List(fields.Nested(FaultSchema), metadata={"maxItems": MAX_FAULTS})


def problem(
    status: int, title: str, detail: str, request_id: str, faults: Iterable[Fault] = (), **members: Any
) -> dict[str, Any]:
    """Return the body of an error reply; ``members`` are extension members (RFC 9457, section 3.2)."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "request_id": request_id,
        **members,
    }
    errors = [{"loc": list(f.loc), "msg": f.msg, "expected": f.expected, "got": f.got} for f in faults]
    return {**body, "errors": errors[:MAX_FAULTS]} if errors else body


def faults_of(messages: Any, schema: Schema, given: Any, prefix: tuple[str | int, ...] = ()) -> list[Fault]:
    """Return marshmallow's nested messages about ``given`` as a flat list of faults.

    The fields of this project put faults into the messages, which are kept.
    """
    if isinstance(messages, list):
        return [
            m.under(*prefix) if isinstance(m, Fault) else Fault(prefix, str(m).rstrip(".").lower())
            for m in messages
        ]
    known = {f.data_key or name: f for name, f in schema.fields.items()}
    if not isinstance(given, Mapping):
        return [Fault(prefix, "not an object", f"an object with {', '.join(sorted(known))}", shown(given))]
    faults: list[Fault] = []
    order = {name: i for i, name in enumerate(given)}
    for name, inner in sorted(messages.items(), key=lambda message: order.get(message[0], -1)):
        if len(faults) >= MAX_FAULTS:
            break
        if name not in known:
            faults += [unknown_name(str(name), known).under(*prefix)]
        else:
            field = known[name]
            nested = field.schema if isinstance(field, fields.Nested) else schema
            message = inner[0] if isinstance(inner, list) else None
            if message in (field.error_messages["required"], field.error_messages["null"]):
                summary = "missing" if name not in given else "null is not allowed"
                faults += [Fault((*prefix, name), summary, _expected(field))]
            else:
                faults += faults_of(inner, nested, given.get(name), (*prefix, name))
    return faults


def _expected(field: fields.Field[Any]) -> str:
    message = str(field.error_messages["required"])
    return "" if message.startswith("Missing data") else message
