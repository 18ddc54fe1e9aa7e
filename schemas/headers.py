"""The names of the headers of predictions, in requests and replies."""

from __future__ import annotations

#: Request headers: the version to use, and the key that keeps a client on one arm of a traffic rule.
MODEL_VERSION = "X-Model-Version"
ROUTING_KEY = "X-Routing-Key"

#: A header of requests and replies: the id of the request, as in the log.
REQUEST_ID = "X-Request-Id"

#: Reply headers, like MODEL_VERSION: the arm of the traffic rule, the prediction's id and its timing.
MODEL_ARM = "X-Model-Arm"
PREDICTION_ID = "X-Prediction-Id"
TIMING = "Server-Timing"

#: A header of replies with the status 503.
RETRY_AFTER = "Retry-After"

#: The headers of a prediction's reply.
OF_A_PREDICTION = (REQUEST_ID, MODEL_VERSION, MODEL_ARM, PREDICTION_ID, TIMING)


def in_environ(name: str) -> str:
    """Return the key of a request header in a WSGI environ (PEP 3333)."""
    return "HTTP_" + name.upper().replace("-", "_")
