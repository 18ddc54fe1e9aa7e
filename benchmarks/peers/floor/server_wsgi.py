"""The least that a WSGI server can do with a prediction request: read the body, answer fixed bytes."""

from collections.abc import Callable, Iterable
from typing import Any

REPLY = b'{"prediction":0,"probability":[0.9815,0.0185,0.0]}'
HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(REPLY)))]


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Any request gets the same reply."""
    environ["wsgi.input"].read()
    start_response("200 OK", HEADERS)
    return [REPLY]
