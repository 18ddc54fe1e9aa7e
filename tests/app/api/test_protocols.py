"""Tests of the choice of a protocol for errors, and of its replies."""

from __future__ import annotations

import pytest
from flask import Flask, Response

from app.api.predict import answer
from app.api.protocols.choice import protocol_of_path
from app.api.protocols.native import NATIVE, Native
from app.api.protocols.protocol import HttpAsk, Protocol
from app.inference.messages import Prediction
from tests.app.api.asking import FLOWER


class Dialect(Protocol):
    def __init__(self, *prefixes: str) -> None:
        self.prefixes = prefixes


OPEN, HEALTH, OLD = Dialect("/v2", "/v2/models"), Dialect("/v2/health"), Dialect("/v1/models")


@pytest.mark.parametrize(
    ("path", "protocol"),
    [
        ("/", NATIVE),
        ("/models/iris/predict", NATIVE),
        ("/v2", OPEN),
        ("/v2/anything", OPEN),
        ("/v2/health/live", HEALTH),
        ("/v2/models/iris/infer", OPEN),
        ("/v1/models/iris:predict", OLD),
        ("/v1/other", NATIVE),
        ("/v2/predict", NATIVE),
        ("/v12/predict/batch", NATIVE),
        ("/v2x/models", NATIVE),
        ("/v\u0662/predict", NATIVE),
        ("//v2/models", NATIVE),
    ],
)
def test_the_longest_matching_prefix_decides_and_numbered_routes_stay_native(
    path: str, protocol: Protocol
) -> None:
    assert protocol_of_path(path, (NATIVE, OPEN, HEALTH, OLD)) is protocol


class Decorated(Native):
    """A protocol that reads the headers of its reply."""

    def encode(self, ask: HttpAsk, prediction: Prediction) -> Response:
        reply = super().encode(ask, prediction)
        reply.headers["X-Dialect"] = "decorated"
        return reply


def test_a_protocol_may_set_headers_of_its_own(toy_app: Flask) -> None:
    dialect = Decorated()
    with toy_app.test_request_context("/predict", method="POST", json={"features": FLOWER}):
        toy_app.preprocess_request()
        reply = answer(dialect, "iris", None, is_single=True)
        toy_app.process_response(reply)
    assert reply.headers["X-Dialect"] == "decorated"
    assert reply.headers["X-Model-Version"] == "1"
    assert reply.headers["X-Prediction-Id"] == reply.get_json()["prediction_id"]
