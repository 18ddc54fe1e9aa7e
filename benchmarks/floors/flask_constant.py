"""A Flask view that returns a constant, in this project's Flask: what a request costs when there is nothing to predict."""

from __future__ import annotations

from typing import Any

from flask import request

from app.api.flask_class import choose_class, new_application

REPLY = {"prediction": 0, "probability": [0.9815, 0.0185, 0.0]}

app = new_application(choose_class(), __name__)


@app.post("/predict")
def predict() -> dict[str, Any]:
    """Read the body and answer."""
    request.get_data()
    return REPLY


@app.get("/health")
def health() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}
