"""How the body of a prediction is read for one signature, and how its reply is written.

A single request is ``{"features": [..]}``, ``{"features": {name: value}}`` or the bare named object; a batch is
``{"inputs": [row, ..]}``. Parameters stand under ``parameters``, in the bare form beside the columns.
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

#: A member of the reply to one row -> the same for many rows.
MANY = {"prediction": "predictions", "probability": "probabilities", "scores": "scores"}


class PredictSchemas:
    """The marshmallow schemas of one signature. Reading raises InputError with every fault at once."""

    def __init__(self, signature: Signature, *, max_rows: int) -> None:
        self.signature = signature
        self._rows = rows = Rows(signature)
        self._max_rows = max_rows
        self._bare_names = [c.name for c in (*signature.columns, *signature.parameters)]
        parameters = self._parameters()
        self.single = Body.from_dict({"features": RowField(rows, required=True), **parameters})()
        self.batch = Body.from_dict({"inputs": RowsField(rows, max_rows, required=True), **parameters})()

    def read_single(self, body: Any, *, numbers: bool = False) -> tuple[np.ndarray, dict[str, Any]]:
        """A row as ndarray of shape (1, n_columns), and the parameters by name.

        ``numbers`` : every scalar in the body is known to be a number, as ``json_body.read`` tells.
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
                [Fault(("inputs",), "rows belong to the batch route", "POST the same to ../predict/batch")]
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
        """Rows as ndarray of shape (n_rows, n_columns), and the parameters by name.

        ``numbers`` : as in ``read_single``.
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
        """A column's value in the first row of a body, single or batch, as text; None where there is none. The body need
        not be a right one."""
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
        """Whether the body of a single request is the row itself. A value of a column is never a list or an object, so an
        envelope can be told even from a column of the same name."""
        if "features" not in body:
            return True
        if isinstance(body["features"], (list, dict)):
            return False
        return not self.signature.named or self.signature.index("features") is not None

    def located(self, error: InputError, *, single: bool, bare: bool) -> InputError:
        """Faults that the model itself found, at rows and parameters, placed as the request has them. ``bare`` : see
        ``is_bare``."""
        placed = [f.under("inputs") if f.loc[:1] and isinstance(f.loc[0], int) else f for f in error.faults]
        if single:
            placed = [
                replace(f, loc=("features", *f.loc[2:])) if f.loc[:1] == ("inputs",) else f for f in placed
            ]
            placed = [self._as_bare(f) for f in placed] if bare else placed
        return InputError(placed)

    def _as_bare(self, fault: Fault) -> Fault:
        """A fault of the envelope in the bare form, where columns and parameters stand side by side."""
        loc = fault.loc[1:] if fault.loc[:1] in (("features",), ("parameters",)) else fault.loc
        if fault.msg == UNKNOWN_NAME and len(loc) == 1:
            return unknown_name(str(loc[0]), self._bare_names)
        return replace(fault, loc=loc)

    def single_forms(self) -> list[dict[str, Any]]:
        """The bare named object in OpenAPI, beside the envelope that ``single`` describes."""
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
        said: dict[str, Any] = dict.fromkeys(
            ("required", "null"), f"an object with {', '.join(c.name for c in columns)}"
        )
        if any(c.required for c in columns):
            return {"parameters": fields.Nested(schema, required=True, error_messages=said)}
        defaults = {f"parameter_{i}": c.default for i, c in enumerate(columns)}
        return {"parameters": fields.Nested(schema, load_default=defaults, error_messages=said)}

    def _load(self, schema: Schema, body: dict[str, Any]) -> dict[str, Any]:
        try:
            loaded: dict[str, Any] = schema.load(body)
        except ValidationError as error:
            faults = faults_of(error.messages, schema, body)
            # marshmallow keeps the error in a frame that the error's traceback keeps: a cycle that holds the whole body.
            error.__traceback__ = None
            raise InputError(faults) from None
        if self.signature.parameters:
            given = loaded["parameters"]
            named = {c.name: given[f"parameter_{i}"] for i, c in enumerate(self.signature.parameters)}
            loaded["parameters"] = named
        return loaded

    def _is_envelope_of(self, key: str, body: Any) -> bool:
        """Whether the body is the envelope and nothing else: then the matrix is all that there is to check, and only if
        that has a fault the schema is asked, which finds every other one too."""
        return (
            type(body) is dict
            and len(body) == 1
            and type(body.get(key)) is list
            and not self.signature.parameters
        )


def reply_body(
    signature: Signature, outputs: Outputs, name: str, version: int, *, single: bool, **more: str
) -> Any:
    """The JSON value that answers a request: an envelope with ``more`` in it, or the prediction alone if it is bare.

    Probabilities and scores are there for a model that has them; records are stamped with the version.
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
