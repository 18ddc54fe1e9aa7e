"""The least that an ASGI server can do with a prediction request: read the body, answer fixed bytes."""

from collections.abc import Awaitable, Callable
from typing import Any

REPLY = b'{"prediction":0,"probability":[0.9815,0.0185,0.0]}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(REPLY)).encode())]
START = {"type": "http.response.start", "status": 200, "headers": HEADERS}
BODY = {"type": "http.response.body", "body": REPLY}


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Any request gets the same reply."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send(START)
    await send(BODY)
