"""FastAPI with everything taken off the hot path that can be: raw request, orjson both ways, checks by hand.

What is given up for it: no schema of these routes in the OpenAPI document, and faults are reported one at a time.
The routes are plain Starlette routes of the FastAPI application, so no dependency is resolved for them.
"""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import chain
from math import isfinite
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from micro_batcher import MicroBatcher

MAX_ROWS = 1000
MAX_BODY_BYTES = 2**20
NUMBERS = frozenset({float, int})

batcher = MicroBatcher.load()
WIDTH = batcher.width


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Everything that is alive now stays alive, and requests leave few cycles: the collector may look rarely.

    With its default thresholds it took a sixth of the time at 64 connections.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    yield


app = FastAPI(lifespan=lifespan, telemetry={"tracing": False, "metrics": False, "logs": False})


class Refused(Exception):
    """The request cannot be answered: a status and the reason."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail

    def response(self) -> Response:
        """As FastAPI shows its own errors."""
        return _reply({"detail": self.detail}, self.status)


async def predict(request: Request) -> Response:
    """Answer one row."""
    try:
        row = _only_key(await request.body(), "features")
        _check_rows([row])
    except Refused as refused:
        return refused.response()
    labels, probabilities = await batcher.submit([row])
    return _reply({"prediction": labels[0], "probability": probabilities[0]})


async def predict_batch(request: Request) -> Response:
    """Answer many rows."""
    try:
        rows = _only_key(await request.body(), "inputs")
        if type(rows) is not list or not 1 <= len(rows) <= MAX_ROWS:
            raise Refused(422, f"inputs must be a list of 1 to {MAX_ROWS} rows")
        _check_rows(rows)
    except Refused as refused:
        return refused.response()
    labels, probabilities = await batcher.submit(rows)
    return _reply({"predictions": labels, "probabilities": probabilities})


app.add_route("/predict", predict, methods=["POST"])
app.add_route("/predict/batch", predict_batch, methods=["POST"])


@app.get("/health")
async def health() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


def _only_key(body: bytes, key: str) -> Any:
    if len(body) > MAX_BODY_BYTES:
        raise Refused(413, "the body is too large")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(400, "the body is not JSON") from error
    if type(value) is not dict or value.keys() != {key}:
        raise Refused(422, f"the body must be an object with the key {key} only")
    return value[key]


def _check_rows(rows: list[Any]) -> None:
    for i, row in enumerate(rows):
        if type(row) is not list or len(row) != WIDTH:
            raise Refused(422, f"row {i} is not a list of {WIDTH} numbers")
    # Types first, because True is finite too. An integer may be too large for a float.
    if not NUMBERS.issuperset(map(type, chain.from_iterable(rows))):
        raise Refused(422, "every value must be a number")
    try:
        finite = all(map(isfinite, chain.from_iterable(rows)))
    except OverflowError:
        finite = False
    if not finite:
        raise Refused(422, "every number must be finite")


def _reply(value: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")
