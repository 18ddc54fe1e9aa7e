"""FastAPI with the two improvements that most teams make first: ``async def``, so that no thread is paid for, and
one ``predict_proba`` a request, whose largest column is the label.
"""

import os

import joblib
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = joblib.load(os.environ["BENCH_MODEL"])


class Features(BaseModel):
    """One row."""

    features: list[float]


class Prediction(BaseModel):
    """The answer for one row."""

    prediction: int
    probability: list[float]


class Inputs(BaseModel):
    """Many rows."""

    inputs: list[list[float]]


class Predictions(BaseModel):
    """The answers for many rows."""

    predictions: list[int]
    probabilities: list[list[float]]


@app.post("/predict")
async def predict(body: Features) -> Prediction:
    """Answer one row."""
    probability = model.predict_proba(np.array([body.features]))[0]
    label = model.classes_[probability.argmax()]
    return Prediction(prediction=int(label), probability=probability.tolist())


@app.post("/predict/batch")
async def predict_batch(body: Inputs) -> Predictions:
    """Answer many rows."""
    probabilities = model.predict_proba(np.array(body.inputs))
    labels = model.classes_[probabilities.argmax(axis=1)]
    return Predictions(predictions=labels.tolist(), probabilities=probabilities.tolist())


@app.get("/health")
async def health() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}
