"""What the administration's requests say."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from models.errors import Fault, InputError
from schemas.cells import shown
from schemas.errors import faults_of

_NUMBER = validate.Range(min=1, max=999_999_999)
_TEXT = validate.Length(max=500)


def _number_or_text(value: Any) -> None:
    if type(value) not in (int, str):
        raise ValidationError("use a number or a tag")


class ReasonSchema(Schema):
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

    version = fields.Raw(
        required=True, validate=_number_or_text, metadata={"description": "A number or a tag", "example": 2}
    )
    if_better = fields.String(
        load_default=None,
        validate=validate.Length(min=1, max=200),
        metadata={"description": "A metric of both versions; 409 unless this version's is better"},
    )


class TagSchema(ReasonSchema):
    """A name for a version."""

    version = fields.Raw(
        required=True, validate=_number_or_text, metadata={"description": "A number or a tag", "example": 2}
    )
    tag = fields.String(required=True, validate=validate.Length(min=1, max=64))


class TrafficSchema(ReasonSchema):
    """Which requests get which version."""

    rule = fields.Raw(required=True, metadata={"description": "arms, matches, shadow and key"})


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
