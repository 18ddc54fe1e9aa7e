"""The bodies of predictions: the reader of requests for one signature, and the writer of replies.

A single request is ``{"features": [..]}``, ``{"features": {name: value}}`` or the bare named object; a batch
is ``{"inputs": [row, ..]}``. Parameters are members of ``parameters``, in the bare form of the object itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from marshmallow import Schema, ValidationError, fields

from models.errors import Fault, InputError
from models.outputs import Outputs, lists
from models.signature import Signature
from schemas.cells import shown
from schemas.errors import faults_of
from schemas.fields import Body, ColumnField, RowField, RowsField
from schemas.matrix import UNKNOWN_NAME, Rows, unknown_name
from schemas.properties import row_object

#: A member of the reply to one row -> the member of the reply to many rows.
MANY = {"prediction": "predictions", "probability": "probabilities", "scores": "scores"}


class PredictSchemas:
    """The marshmallow schemas of one signature. Reading raises InputError with all faults."""

    def __init__(self, signature: Signature, *, max_rows: int) -> None:
        self.signature = signature
        self._rows = rows = Rows(signature)
        self._max_rows = max_rows
        self._bare_names = [c.name for c in (*signature.columns, *signature.parameters)]
        parameters = self._parameters()
        self.single = Body.from_dict({"features": RowField(rows, required=True), **parameters})()
        self.batch = Body.from_dict({"inputs": RowsField(rows, max_rows, required=True), **parameters})()

    def read_single(self, body: Any, *, numbers: bool = False) -> tuple[np.ndarray, dict[str, Any]]:
        """Return one row as an ndarray of shape (1, n_columns), and the parameters by name.

        ``numbers`` tells that all scalars of the body are known to be numbers (see ``json_body.read``).
        Raises InputError.
        """
        if self._is_envelope_of("features", body):
            matrix = self._rows.read_one(body["features"], numbers=numbers)
            if matrix is not None:
                return matrix, {}
        if not isinstance(body, dict):
            raise InputError([Fault((), "not an object", 'such as {"features": [..]}', shown(body))])
        if not self.is_bare(body):
            loaded = self._load(self.single, body)
            return loaded["features"], loaded.get("parameters", {})
        if isinstance(body.get("inputs"), list) and self.signature.index("inputs") is None:
            raise InputError(
                [
                    Fault(
                        ("inputs",),
                        "rows belong to the batch route",
                        "POST the same body to ../predict/batch",
                    )
                ]
            )
        names = {p.name for p in self.signature.parameters}
        features = {name: value for name, value in body.items() if name not in names}
        split: dict[str, Any] = {"features": features}
        if names:
            split["parameters"] = {name: value for name, value in body.items() if name in names}
        try:
            loaded = self._load(self.single, split)
        except InputError as error:
            raise InputError(map(self._as_bare, error.faults)) from None
        return loaded["features"], loaded.get("parameters", {})

    def read_batch(self, body: Any, *, numbers: bool = False) -> tuple[np.ndarray, dict[str, Any]]:
        """Return the rows as an ndarray of shape (n_rows, n_columns), and the parameters by name.

        ``numbers`` is the same as in ``read_single``. Raises InputError.
        """
        if self._is_envelope_of("inputs", body) and 1 <= len(body["inputs"]) <= self._max_rows:
            matrix, _ = self._rows.read(body["inputs"], numbers=numbers)
            if matrix is not None:
                return matrix, {}
        if not isinstance(body, dict):
            raise InputError([Fault((), "not an object", 'such as {"inputs": [[..], ..]}', shown(body))])
        loaded = self._load(self.batch, body)
        return loaded["inputs"], loaded.get("parameters", {})

    def value_of(self, body: Any, column: str) -> str | None:
        """Return the value of a column in the first row of a body, single or batch, as text.

        The body need not be valid; the result is None if it has no such value.
        """
        if not isinstance(body, dict):
            return None
        row = body.get("features", body)
        inputs = body.get("inputs")
        if isinstance(inputs, list) and inputs:
            row = inputs[0]
        if isinstance(row, str) and self.signature.one_text:
            row = [row]
        value = row.get(column) if isinstance(row, dict) else None
        place = self.signature.index(column)
        if isinstance(row, list) and place is not None and place < len(row):
            value = row[place]
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # 1 and 1.0 are one number
        return None if value is None or isinstance(value, (list, dict)) else str(value)

    def is_bare(self, body: Mapping[str, Any]) -> bool:
        """Return whether the body of a single request is the row itself.

        A column's value is never a list or an object, so an envelope differs from a column of the same name.
        """
        if "features" not in body:
            return True
        if isinstance(body["features"], (list, dict)):
            return False
        return not self.signature.named or self.signature.index("features") is not None

    def located(self, error: InputError, *, single: bool, bare: bool) -> InputError:
        """Return the model's faults, at rows and parameters, with their locations in the request.

        ``bare`` is the result of ``is_bare``.
        """
        placed = [f.under("inputs") if f.loc[:1] and isinstance(f.loc[0], int) else f for f in error.faults]
        if single:
            placed = [
                replace(f, loc=("features", *f.loc[2:])) if f.loc[:1] == ("inputs",) else f for f in placed
            ]
            placed = [self._as_bare(f) for f in placed] if bare else placed
        return InputError(placed)

    def _as_bare(self, fault: Fault) -> Fault:
        """Return a fault as in the bare form, which has columns and parameters on one level."""
        loc = fault.loc[1:] if fault.loc[:1] in (("features",), ("parameters",)) else fault.loc
        if fault.msg == UNKNOWN_NAME and len(loc) == 1:
            return unknown_name(str(loc[0]), self._bare_names)
        return replace(fault, loc=loc)

    def single_forms(self) -> list[dict[str, Any]]:
        """Return the JSON Schemas of single requests other than the envelope, which ``single`` describes."""
        return [row_object(self.signature, self.signature.parameters)]

    def _parameters(self) -> dict[str, fields.Field[Any]]:
        columns = self.signature.parameters
        if not columns:
            return {}
        # marshmallow splits attribute names at dots, so the real name is the data key only.
        coerce = self.signature.coerce
        schema = Body.from_dict(
            {f"parameter_{i}": ColumnField(c, coerce=coerce) for i, c in enumerate(columns)}
        )
        messages: dict[str, Any] = dict.fromkeys(
            ("required", "null"), f"an object with {', '.join(c.name for c in columns)}"
        )
        if any(c.required for c in columns):
            return {"parameters": fields.Nested(schema, required=True, error_messages=messages)}
        defaults = {f"parameter_{i}": c.default for i, c in enumerate(columns)}
        return {"parameters": fields.Nested(schema, load_default=defaults, error_messages=messages)}

    def _load(self, schema: Schema, body: dict[str, Any]) -> dict[str, Any]:
        try:
            loaded: dict[str, Any] = schema.load(body)
        except ValidationError as error:
            faults = faults_of(error.messages, schema, body)
            # The traceback refers to a frame of marshmallow that refers to the error: a cycle that keeps the
            # body.
            error.__traceback__ = None
            raise InputError(faults) from None
        if self.signature.parameters:
            given = loaded["parameters"]
            named = {c.name: given[f"parameter_{i}"] for i, c in enumerate(self.signature.parameters)}
            loaded["parameters"] = named
        return loaded

    def _is_envelope_of(self, key: str, body: Any) -> bool:
        """Return whether the body is an envelope of rows only.

        Its rows are then all that has to be validated. The schema runs only if they have a fault, to find
        all.
        """
        return (
            type(body) is dict
            and len(body) == 1
            and type(body.get(key)) is list
            and not self.signature.parameters
        )


def reply_body(
    signature: Signature, outputs: Outputs, name: str, version: int, *, single: bool, **more: str
) -> Any:
    """Return the JSON value of a reply: an envelope with the members ``more``, or a bare prediction.

    It has probabilities and scores if the model has. Records get the version in the column for it.
    """
    predictions, probabilities, scores = lists(signature.output, outputs)
    stamp = signature.output.version_column
    if stamp is not None:
        predictions = [[{**record, stamp: str(version)} for record in records] for records in predictions]
    if signature.bare:
        return predictions[0] if single else predictions
    body: dict[str, Any] = {"prediction": predictions[0]} if single else {"predictions": predictions}
    if probabilities is not None:
        body["probability" if single else "probabilities"] = probabilities[0] if single else probabilities
    if scores is not None:
        body["scores"] = scores[0] if single else scores
    body["model"], body["model_version"] = name, str(version)
    body.update(more)
    return body
