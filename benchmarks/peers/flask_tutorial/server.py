"""Flask as its tutorials serve a model: loaded at import, ``predict`` and ``predict_proba`` called in the view."""

import os

import joblib
import numpy as np
from flask import Flask, jsonify, request

app = Flask(__name__)
model = joblib.load(os.environ["BENCH_MODEL"])


@app.route("/predict", methods=["POST"])
def predict():
    """One row: ``{"features": [..]}`` -> ``{"prediction", "probability"}``."""
    data = request.get_json()
    features = np.array(data["features"]).reshape(1, -1)
    prediction = model.predict(features)
    probability = model.predict_proba(features)
    return jsonify({"prediction": int(prediction[0]), "probability": probability[0].tolist()})


@app.route("/predict/batch", methods=["POST"])
def predict_batch():
    """Many rows: ``{"inputs": [[..], ..]}`` -> ``{"predictions", "probabilities"}``."""
    data = request.get_json()
    inputs = np.array(data["inputs"])
    predictions = model.predict(inputs)
    probabilities = model.predict_proba(inputs)
    return jsonify({"predictions": predictions.tolist(), "probabilities": probabilities.tolist()})


@app.route("/health")
def health():
    """The process answers."""
    return jsonify({"status": "ok"})
