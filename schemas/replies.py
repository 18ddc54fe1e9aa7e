"""What the reply to a prediction looks like for one signature, as the document shows it and tests hold it to."""

from __future__ import annotations

from typing import Any

from marshmallow import EXCLUDE, Schema, fields

from models.signature import Output, Signature
from schemas.fields import column_property

_CLASS_TYPES = {bool: "boolean", int: "integer", str: "string"}


class ReplySchemas:
    """The replies of one model: to a single request, and to a batch.

    Each is a marshmallow schema; of a ``bare`` signature, whose body is the prediction alone, it is that value's
    OpenAPI property.
    """

    def __init__(self, signature: Signature, name: str) -> None:
        answer = answer_property(signature.output)
        answers = {
            "type": "array",
            "items": answer,
            "description": "One for each row, in the order of the rows",
        }
        self.single: Schema | dict[str, Any]
        self.batch: Schema | dict[str, Any]
        if signature.bare:
            self.single, self.batch = answer, answers
            return
        one: dict[str, fields.Field[Any]] = {"prediction": fields.Raw(required=True, metadata=answer)}
        many: dict[str, fields.Field[Any]] = {"predictions": fields.Raw(required=True, metadata=answers)}
        if signature.output.probability:
            chances = probability_property(signature.output)
            one["probability"] = fields.Raw(required=True, metadata=chances)
            each = {"type": "array", "items": chances, "description": "One list for each row"}
            many["probabilities"] = fields.Raw(required=True, metadata=each)
        about = _about(name)
        # A client must bear members that a later release adds, so the document does not rule them out.
        self.single = Schema.from_dict({**one, **about})(unknown=EXCLUDE)
        self.batch = Schema.from_dict({**many, **about})(unknown=EXCLUDE)


def answer_property(output: Output) -> dict[str, Any]:
    """The OpenAPI 3.0.3 property of the answer to one row."""
    if output.kind == "number":
        return {"type": "number"}
    if output.kind == "class":
        kinds = {_CLASS_TYPES.get(type(label), "") for label in output.classes}
        kind = kinds.pop() if len(kinds) == 1 else ""
        return {**({"type": kind} if kind else {}), "enum": list(output.classes)}
    if output.kind == "vector":
        size = {} if output.size is None else {"minItems": output.size, "maxItems": output.size}
        return {"type": "array", "items": {"type": "number"}, **size}
    properties = {column.name: column_property(column) for column in output.columns}
    if output.version_column is not None:
        properties.setdefault(output.version_column, {"type": "string"})
    record = {"type": "object", "properties": properties, "required": sorted(properties)}
    return {"type": "array", "items": record}


def probability_property(output: Output) -> dict[str, Any]:
    """The OpenAPI 3.0.3 property of the probabilities of one row."""
    size = len(output.classes)
    order = ", ".join(str(label) for label in output.classes)
    return {
        "type": "array",
        "items": {"type": "number"},
        "minItems": size,
        "maxItems": size,
        "description": f"From 0 to 1 for each class, in this order: {order}",
    }


def _about(name: str) -> dict[str, fields.Field[Any]]:
    said: dict[str, dict[str, Any]] = {
        "model": {"description": "The model that answered", "enum": [name]},
        "model_version": {"description": "The number of the version that answered"},
        "prediction_id": {"description": "Names this prediction, also in the header X-Prediction-Id"},
    }
    return {key: fields.String(required=True, metadata=metadata) for key, metadata in said.items()}
