"""A FastAPI ``async def`` endpoint that returns a constant: the same as ``flask_constant`` for the other side."""

from typing import Any

from fastapi import FastAPI, Request

REPLY = {"prediction": 0, "probability": [0.9815, 0.0185, 0.0]}

app = FastAPI()


@app.post("/predict")
async def predict(request: Request) -> dict[str, Any]:
    """Read the body and answer."""
    await request.body()
    return REPLY


@app.get("/health")
async def health() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}
