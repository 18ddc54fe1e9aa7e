"""The schemas of a prediction's replies, for the OpenAPI document and for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from marshmallow import EXCLUDE, Schema, fields

from models.signature import Output, OutputKind, Signature
from schemas.headers import PREDICTION_ID
from schemas.predict import MANY
from schemas.properties import Property, answer_column

_CLASS_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}

#: The largest number of names in a description; the metadata of the version has all of them.
MAX_NAMED = 60


class ReplySchemas:
    """The replies of one model to a single request and to a batch.

    Each is a marshmallow schema, or for a ``bare`` signature the OpenAPI property of the prediction.
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
        one = {"prediction": answer}
        if signature.output.probability:
            one["probability"] = probability_property(signature.output)
        if signature.output.scores:
            one["scores"] = _object_of(
                (score.name, answer_property(score)) for score in signature.output.scores
            )
        many = {"predictions": answers}
        for member in list(one)[1:]:
            each = {"type": "array", "items": one[member], "description": "One for each row"}
            many[MANY[member]] = each
        about = _about(name)
        # Later releases may add members, so the document allows them.
        self.single = Schema.from_dict({**_required(one), **about})(unknown=EXCLUDE)
        self.batch = Schema.from_dict({**_required(many), **about})(unknown=EXCLUDE)


def answer_property(output: Output) -> Property:
    """Return the property of the answer to one row."""
    return _ANSWERS[output.kind](output)


def probability_property(output: Output) -> Property:
    """Return the property of the probabilities of one row."""
    if output.kind == "several":
        return _object_of((one.name, probability_property(one)) for one in output.with_classes)
    size = len(output.classes)
    return {
        "type": "array",
        "items": {"type": "number"},
        "minItems": size,
        "maxItems": size,
        "description": f"From 0 to 1 for each class, in this order: {listed(output.classes)}",
    }


def _number(output: Output) -> Property:
    return {"type": "number"}


def _class(output: Output) -> Property:
    kinds = {_CLASS_TYPES.get(type(label), "") for label in output.classes}
    kind = kinds.pop() if len(kinds) == 1 else ""
    return {**({"type": kind} if kind else {}), "enum": list(output.classes)}


def _vector(output: Output) -> Property:
    size = {} if output.size is None else {"minItems": output.size, "maxItems": output.size}
    order = {"description": f"In this order: {listed(output.components)}"} if output.components else {}
    return {"type": "array", "items": {"type": "number"}, **size, **order}


def _several(output: Output) -> Property:
    return _object_of((one.name, answer_property(one)) for one in output.outputs)


def _records(output: Output) -> Property:
    properties = {column.name: answer_column(column) for column in output.columns}
    if output.version_column is not None:
        properties.setdefault(output.version_column, {"type": "string"})
    return {"type": "array", "items": _object_of(properties.items())}


#: Kind of output -> the function that returns its property.
_ANSWERS: Mapping[OutputKind, Callable[[Output], Property]] = {
    "number": _number,
    "class": _class,
    "vector": _vector,
    "several": _several,
    "records": _records,
}


def listed(names: Sequence[Any]) -> str:
    """Return the first names of a list, as text."""
    return ", ".join(map(str, names[:MAX_NAMED])) + (", .." if len(names) > MAX_NAMED else "")


def _object_of(properties: Iterable[tuple[str, Property]]) -> Property:
    named = dict(properties)
    return {"type": "object", "properties": named, "required": list(named)}


def _required(properties: Mapping[str, Property]) -> dict[str, fields.Field[Any]]:
    return {name: fields.Raw(required=True, metadata=metadata) for name, metadata in properties.items()}


def _about(name: str) -> dict[str, fields.Field[Any]]:
    members: dict[str, dict[str, Any]] = {
        "model": {"description": "The model that answered", "enum": [name]},
        "model_version": {"description": "The number of the version that answered"},
        "prediction_id": {"description": "The id of this prediction, also in the header " + PREDICTION_ID},
    }
    return {key: fields.String(required=True, metadata=metadata) for key, metadata in members.items()}
