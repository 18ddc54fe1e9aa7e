"""The names of the headers that requests and replies of a prediction have, written once."""

from __future__ import annotations

#: Of requests: the version that shall answer, and the key that keeps a client at one arm of a traffic rule.
MODEL_VERSION = "X-Model-Version"
ROUTING_KEY = "X-Routing-Key"

#: Of requests and replies: the name of the request in the log.
REQUEST_ID = "X-Request-Id"

#: Of replies, like MODEL_VERSION: why a traffic rule chose the version, the prediction's name and its timing.
MODEL_ARM = "X-Model-Arm"
PREDICTION_ID = "X-Prediction-Id"
TIMING = "Server-Timing"

#: Of replies with the status 503.
RETRY_AFTER = "Retry-After"

OF_A_PREDICTION = (REQUEST_ID, MODEL_VERSION, MODEL_ARM, PREDICTION_ID, TIMING)


def in_environ(name: str) -> str:
    """The key under which WSGI has a request's header (PEP 3333)."""
    return "HTTP_" + name.upper().replace("-", "_")
