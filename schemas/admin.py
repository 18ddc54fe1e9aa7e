"""The bodies of the administration's requests and replies."""

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
    """A version by number, or by what names it."""
    forms = [_VERSION, {"type": "string", "pattern": SELECTOR_PATTERN}]
    metadata = {"description": "A number, tag or alias", "anyOf": forms, "examples": [2]}
    return fields.Raw(required=True, validate=_number_or_text, metadata=metadata)


def _share(least: dict[str, Any]) -> dict[str, Any]:
    """An object of a version and the share of requests that it gets, in percent."""
    percent = {"type": "number", "exclusiveMinimum": 0, "maximum": 100}
    return {
        "type": "object",
        "properties": {"version": _VERSION, "percent": percent},
        "additionalProperties": False,
        **least,
    }


def _rule() -> fields.Raw:
    """A traffic rule as ``models.traffic.read_rule`` takes it, which also refuses more than 100 percent."""
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
        "description": "Which requests get another version than the stable one: first a match decides, then "
        "the shares; a shadow is asked beside. `key` is the column by which a client without a routing key "
        "stays with its share",
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
    """Why something is changed."""

    reason = fields.String(load_default="", validate=_TEXT, metadata={"description": "For the history"})


class RollbackSchema(ReasonSchema):
    """Back to the version that was stable before."""

    expected = fields.Integer(
        strict=True,
        load_default=None,
        validate=_NUMBER,
        metadata={"description": "The version believed to be stable now; 409 when it is another"},
    )


class PromoteSchema(RollbackSchema):
    """A version that is to be stable."""

    version = _selector()
    if_better = fields.String(
        load_default=None,
        validate=validate.Length(min=1, max=200),
        metadata={"description": "A metric of both versions; 409 unless this version's is better"},
    )


class TagSchema(ReasonSchema):
    """A name for a version."""

    version = _selector()
    tag = fields.String(
        required=True,
        validate=validate.Length(min=1, max=64),
        metadata={
            "description": f"Not digits alone, which are a number, and none of {', '.join(RESERVED_TAGS)}",
            "pattern": SELECTOR_PATTERN,
            "examples": ["1.0.0"],
        },
    )


class TrafficSchema(ReasonSchema):
    """Which requests get which version."""

    rule = _rule()


class WorkerSchema(Reply):
    """A worker process. What it has not said yet is null."""

    slot = fields.Integer(required=True)
    pid = fields.Integer(required=True, allow_none=True)
    generation = fields.String(required=True, allow_none=True)


class ListedWorkerSchema(WorkerSchema):
    """A worker process, and what it cannot serve."""

    running_seconds = fields.Float(required=True, allow_none=True)
    silent_seconds = fields.Float(required=True, allow_none=True)
    faults = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        metadata={"description": "Version to why this worker cannot serve it"},
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
    """What a change was, and which workers of this host serve it."""

    name = fields.String(required=True, metadata={"description": "The model; empty for a reload"})
    verb = fields.String(required=True)
    before = fields.Raw(
        required=True, metadata={"description": "A version's number, a traffic rule, or null"}
    )
    after = fields.Raw(required=True, metadata={"description": "The same, now"})
    generation = fields.String(
        required=True, metadata={"description": "Of the store, with this change in it"}
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
    """The body's values; raises InputError with every fault."""
    made = schema()
    if not isinstance(body, dict):
        raise InputError([Fault((), "not an object", "a JSON object", shown(body))])
    try:
        values: dict[str, Any] = made.load(body)
    except ValidationError as error:
        raise InputError(faults_of(error.messages, made, body)) from None
    return values
