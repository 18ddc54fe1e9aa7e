"""FastAPI at its strongest: typed in and out, every check that Plumbline makes, and a micro-batcher.

- pydantic refuses, with the place of every fault, what is no finite number (texts and booleans too), rows of the
  wrong length, unknown keys, and requests of no or too many rows; large bodies are refused before that;
- bodies are parsed by orjson, by the custom request class that FastAPI's documentation shows; replies are written by
  pydantic's own serialiser, which took the place of FastAPI's deprecated ``ORJSONResponse``;
- telemetry is off, and the garbage collector does not look at what lives for ever.

Run on uvloop and httptools, without access log and proxy headers.
"""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Annotated, Any

import orjson
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.routing import APIRoute
from micro_batcher import MicroBatcher
from pydantic import BaseModel, ConfigDict, Field

MAX_ROWS = 1000
MAX_BODY_BYTES = 2**20

batcher = MicroBatcher.load()

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Row = Annotated[list[Number], Field(min_length=batcher.width, max_length=batcher.width)]


class Features(BaseModel):
    """One row."""

    model_config = ConfigDict(extra="forbid", strict=True)

    features: Row


class Prediction(BaseModel):
    """The answer for one row."""

    prediction: int
    probability: list[float]


class Inputs(BaseModel):
    """Many rows."""

    model_config = ConfigDict(extra="forbid", strict=True)

    inputs: Annotated[list[Row], Field(min_length=1, max_length=MAX_ROWS)]


class Predictions(BaseModel):
    """The answers for many rows."""

    predictions: list[int]
    probabilities: list[list[float]]


class OrjsonRequest(Request):
    """A request whose body is parsed by orjson."""

    async def json(self) -> Any:
        """The body as a JSON value; raises what FastAPI answers with 413 or 422."""
        body = await self.body()
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413, "the body is too large")
        return orjson.loads(body)


class OrjsonRoute(APIRoute):
    """A route that reads OrjsonRequests."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own handler, given the other request class."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await handler(OrjsonRequest(request.scope, request.receive))

        return handle


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
app.router.route_class = OrjsonRoute


@app.post("/predict")
async def predict(body: Features) -> Prediction:
    """Answer one row."""
    labels, probabilities = await batcher.submit([body.features])
    return Prediction(prediction=labels[0], probability=probabilities[0])


@app.post("/predict/batch")
async def predict_batch(body: Inputs) -> Predictions:
    """Answer many rows."""
    labels, probabilities = await batcher.submit(body.inputs)
    return Predictions(predictions=labels, probabilities=probabilities)


@app.get("/health")
async def health() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}
