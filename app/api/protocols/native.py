"""The native protocol: the JSON bodies of docs/http-api.md, and problems (RFC 9457)."""

from __future__ import annotations

import time
from http import HTTPStatus

from flask import Response

from app.api.json_provider import json_reply
from app.api.protocols.protocol import HttpAsk, Problem, Protocol
from app.api.request import read_json
from app.inference.messages import Prediction
from models.errors import InputError
from schemas.errors import CONTENT_TYPE, problem
from schemas.predict import PredictSchemas, reply_body


class Native(Protocol):
    """The wire format of ``{"features": [..]}``, the bare named object, and ``{"inputs": [[..], ..]}``."""

    prefixes = ("", "/v<n>/predict")

    def decode(self, ask: HttpAsk, schemas: PredictSchemas) -> None:
        """Read one row or many, depending on the route."""
        body, numbers = ask.body or read_json(ask.request)
        read = schemas.read_single if ask.is_single else schemas.read_batch
        ask.rows, ask.parameters = read(body, numbers=numbers)
        ask.is_bare = ask.is_single and schemas.is_bare(body)
        # The small objects of a large body are freed while they are in the processor's cache.
        ask.body = None
        del body
        ask.read_at = time.perf_counter()

    def encode(self, ask: HttpAsk, prediction: Prediction) -> Response:
        """Write the prediction in its envelope, or alone for a ``bare`` signature."""
        target = prediction.target
        body = reply_body(
            ask.schemas.signature,
            prediction.answer.outputs,
            target.name,
            target.number,
            single=ask.is_single,
            prediction_id=prediction.prediction_id,
        )
        return json_reply(body)

    def problem(self, error: Problem, request_id: str) -> Response:
        """Write a problem document."""
        status = error.status
        title = HTTPStatus(status).phrase
        body = problem(status, title, error.detail, request_id, error.faults, **error.members)
        return json_reply(body, status, CONTENT_TYPE)

    def column(self, ask: HttpAsk, schemas: PredictSchemas, name: str) -> str | None:
        """Return a column of the first row. The body that is read for it is kept until ``decode``."""
        ask.body = read_json(ask.request)
        return schemas.value_of(ask.body[0], name)

    def located(self, ask: HttpAsk, error: InputError) -> InputError:
        """Place faults below ``features`` or ``inputs``, or at the columns of a bare body."""
        return ask.schemas.located(error, single=ask.is_single, bare=ask.is_bare)


NATIVE = Native()
