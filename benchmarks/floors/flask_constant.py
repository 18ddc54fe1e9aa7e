"""A Flask view that returns a constant, in this project's Flask: what a request costs when there is nothing to predict."""

from __future__ import annotations

from typing import Any

from flask import request

from app.api.lean_flask import LeanFlask

REPLY = {"prediction": 0, "probability": [0.9815, 0.0185, 0.0]}

app = LeanFlask(__name__)


@app.post("/predict")
def predict() -> dict[str, Any]:
    """Read the body and answer."""
    request.get_data()
    return REPLY


@app.get("/health")
def health() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}
