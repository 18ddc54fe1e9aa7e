"""The schemas of the administration routes: their request bodies and their replies."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from models.errors import Fault, InputError
from models.names import RESERVED_TAGS, SELECTOR_PATTERN
from models.traffic import HEADER_PATTERN, MOST_ARMS, MOST_MATCHES
from schemas.cells import shown
from schemas.errors import faults_of
from schemas.fields import Body
from schemas.service import Reply

_NUMBER = validate.Range(min=1, max=999_999_999)
_TEXT = validate.Length(max=500)
_VERSION = {"type": "integer", "minimum": 1, "maximum": 999_999_999}


def _number_or_text(value: Any) -> None:
    if type(value) not in (int, str):
        raise ValidationError("use a number or a tag")


def _selector() -> fields.Raw:
    """Return the field of a version, by number, tag or alias."""
    forms = [_VERSION, {"type": "string", "pattern": SELECTOR_PATTERN}]
    metadata = {"description": "A number, tag or alias", "anyOf": forms, "examples": [2]}
    return fields.Raw(required=True, validate=_number_or_text, metadata=metadata)


def _share(constraints: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of a version and its share of the requests, in percent."""
    percent = {"type": "number", "exclusiveMinimum": 0, "maximum": 100}
    return {
        "type": "object",
        "properties": {"version": _VERSION, "percent": percent},
        "additionalProperties": False,
        **constraints,
    }


def _rule() -> fields.Raw:
    """Return the field of a traffic rule. ``models.traffic.read_rule`` also validates the sum of shares."""
    match = {
        "type": "object",
        "properties": {
            "header": {"type": "string", "pattern": HEADER_PATTERN},
            "value": {"type": "string", "pattern": "^[ -~]{1,200}$"},
            "version": _VERSION,
        },
        "required": ["header", "value", "version"],
        "additionalProperties": False,
    }
    arms = _share({"required": ["version", "percent"]})
    lists = {
        "arms": {"type": "array", "maxItems": MOST_ARMS, "items": arms, "description": "100 percent at most"},
        "matches": {"type": "array", "maxItems": MOST_MATCHES, "items": match},
    }
    shadow = _share({"required": ["version"]})
    metadata = {
        "description": "Which requests get a version other than the stable one. Matches are tried first, "
        "then the arms. The shadow version predicts the same rows after the reply. `key` is the column that "
        "keeps a client without a routing key on one arm",
        "type": "object",
        "properties": {**lists, "shadow": shadow, "key": {"type": "string", "maxLength": 200}},
        "additionalProperties": False,
        "anyOf": [
            *({"required": [name], "properties": {name: {"minItems": 1}}} for name in lists),
            {"required": ["shadow"]},
        ],
        "examples": [{"arms": [{"version": 2, "percent": 10}]}],
    }
    return fields.Raw(required=True, metadata=metadata)


class ReasonSchema(Body):
    """The reason of a change."""

    reason = fields.String(
        load_default="", validate=_TEXT, metadata={"description": "Recorded in the history"}
    )


class RollbackSchema(ReasonSchema):
    """A rollback to the previous stable version."""

    expected = fields.Integer(
        strict=True,
        load_default=None,
        validate=_NUMBER,
        metadata={"description": "The version that should be stable now; 409 if another one is"},
    )


class PromoteSchema(RollbackSchema):
    """A promotion of a version to stable."""

    version = _selector()
    if_better = fields.String(
        load_default=None,
        validate=validate.Length(min=1, max=200),
        metadata={
            "description": "A metric of both versions; 409 unless it is better than that of the stable one"
        },
    )


class TagSchema(ReasonSchema):
    """A tag of a version."""

    version = _selector()
    tag = fields.String(
        required=True,
        validate=validate.Length(min=1, max=64),
        metadata={
            "description": f"Not only digits, which are a number; not one of {', '.join(RESERVED_TAGS)}",
            "pattern": SELECTOR_PATTERN,
            "examples": ["1.0.0"],
        },
    )


class TrafficSchema(ReasonSchema):
    """A traffic rule of a model."""

    rule = _rule()


class WorkerSchema(Reply):
    """A worker process. Members that it has not reported yet are null."""

    slot = fields.Integer(required=True)
    pid = fields.Integer(required=True, allow_none=True)
    generation = fields.String(required=True, allow_none=True)


class ListedWorkerSchema(WorkerSchema):
    """A worker process, and the versions that it cannot serve."""

    running_seconds = fields.Float(required=True, allow_none=True)
    silent_seconds = fields.Float(required=True, allow_none=True)
    faults = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        metadata={"description": "Version to the reason why this worker cannot serve it"},
    )


class WorkersSchema(Reply):
    """The workers of this host."""

    workers = fields.List(fields.Nested(ListedWorkerSchema), required=True)


class MissingWorkerSchema(WorkerSchema):
    """A worker that does not serve the change yet."""

    silent_seconds = fields.Float(required=True, allow_none=True)


class SwitchedWorkerSchema(Reply):
    """A worker that serves the change."""

    slot = fields.Integer(required=True)
    pid = fields.Integer(required=True)


class RefusalSchema(Reply):
    """A worker that follows the store and cannot serve the version."""

    slot = fields.Integer(required=True)
    reason = fields.String(required=True)


class OutcomeSchema(Reply):
    """A change, and which workers of this host serve it."""

    name = fields.String(required=True, metadata={"description": "The model; empty for a reload"})
    verb = fields.String(required=True)
    before = fields.Raw(
        required=True, metadata={"description": "A version's number, a traffic rule, or null"}
    )
    after = fields.Raw(required=True, metadata={"description": "The same after the change"})
    generation = fields.String(
        required=True, metadata={"description": "The generation of the store that includes the change"}
    )
    complete = fields.Boolean(required=True, metadata={"description": "Whether every worker serves it"})
    workers = fields.Integer(required=True)
    switched = fields.List(fields.Nested(SwitchedWorkerSchema), required=True)
    missing = fields.List(fields.Nested(MissingWorkerSchema), required=True)
    refused = fields.List(fields.Nested(RefusalSchema), required=True)


class HistorySchema(Reply):
    """Every change of a model, oldest first."""

    name = fields.String(required=True)
    history = fields.List(fields.Dict(), required=True)


def load(schema: type[Schema], body: Any) -> dict[str, Any]:
    """Validate a body and return its values. Raises InputError with every fault."""
    validator = schema()
    if not isinstance(body, dict):
        raise InputError([Fault((), "not an object", "a JSON object", shown(body))])
    try:
        values: dict[str, Any] = validator.load(body)
    except ValidationError as error:
        raise InputError(faults_of(error.messages, validator, body)) from None
    return values
