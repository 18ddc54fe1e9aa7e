"""The native API: JSON bodies as docs/http-api.md has them, and problems after RFC 9457."""

from __future__ import annotations

import time
from http import HTTPStatus

from flask import Response

from app.api.body import read_json
from app.api.json_provider import json_reply
from app.api.protocols.protocol import HttpAsk, Problem, Protocol
from app.inference.messages import Prediction
from models.errors import InputError
from schemas.errors import CONTENT_TYPE, problem
from schemas.predict import PredictSchemas, reply_body


class Native(Protocol):
    """``{"features": [..]}``, the bare named object, and ``{"inputs": [[..], ..]}``."""

    prefixes = ("", "/v<n>/predict")

    def decode(self, ask: HttpAsk, schemas: PredictSchemas) -> None:
        """One row or many, as the route says."""
        body, numbers = ask.body or read_json(ask.request)
        read = schemas.read_single if ask.is_single else schemas.read_batch
        ask.rows, ask.parameters = read(body, numbers=numbers)
        ask.is_bare = ask.is_single and schemas.is_bare(body)
        # Freed now, the many small values of a large body are still in the processor's cache; after the wait they are not.
        ask.body = None
        del body
        ask.read_at = time.perf_counter()

    def encode(self, ask: HttpAsk, prediction: Prediction) -> Response:
        """The prediction in its envelope, or alone where the signature says so."""
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

    def problem(self, said: Problem, request_id: str) -> Response:
        """A problem document."""
        status = said.status
        title = HTTPStatus(status).phrase
        body = problem(status, title, said.detail, request_id, said.faults, **said.members)
        return json_reply(body, status, CONTENT_TYPE)

    def column(self, ask: HttpAsk, schemas: PredictSchemas, name: str) -> str | None:
        """The body is read for it, and kept until it is decoded."""
        ask.body = read_json(ask.request)
        return schemas.value_of(ask.body[0], name)

    def located(self, ask: HttpAsk, error: InputError) -> InputError:
        """Below ``features`` or ``inputs``, or at the columns of a bare body."""
        return ask.schemas.located(error, single=ask.is_single, bare=ask.is_bare)


NATIVE = Native()
