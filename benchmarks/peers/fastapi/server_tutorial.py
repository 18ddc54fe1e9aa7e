"""FastAPI as its tutorials serve a model: ``def`` endpoints on the thread pool, ``predict`` and ``predict_proba``."""

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
def predict(body: Features) -> Prediction:
    """Answer one row."""
    features = np.array(body.features).reshape(1, -1)
    prediction = model.predict(features)
    probability = model.predict_proba(features)
    return Prediction(prediction=int(prediction[0]), probability=probability[0].tolist())


@app.post("/predict/batch")
def predict_batch(body: Inputs) -> Predictions:
    """Answer many rows."""
    inputs = np.array(body.inputs)
    predictions = model.predict(inputs)
    probabilities = model.predict_proba(inputs)
    return Predictions(predictions=predictions.tolist(), probabilities=probabilities.tolist())


@app.get("/health")
def health() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}
