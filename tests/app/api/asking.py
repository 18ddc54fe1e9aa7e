"""Assertions that every reply of the API must satisfy."""

from __future__ import annotations

import re
from typing import Any

from werkzeug.test import TestResponse

from app.api.hooks import SECURITY_PAIRS

FLOWER = [5.1, 3.5, 1.4, 0.2]
JSON = {"Content-Type": "application/json"}

#: What a reply to a fault must not show: code, files, library names.
INSIDE = re.compile(
    r"Traceback|File \"|\.py\b|/(tmp|home|usr|var)/|site-packages|sklearn|werkzeug|flask|numpy|orjson|object at 0x",
    re.I,
)


def check_reply(reply: TestResponse) -> None:
    """Assert that a reply has the headers that all replies have."""
    for name, value in SECURITY_PAIRS:
        assert reply.headers.getlist(name) == [value], name
    assert len(reply.headers.getlist("X-Request-Id")) == 1
    assert "Server" not in reply.headers


def answer(reply: TestResponse) -> Any:
    """Return the JSON value of a reply, whose status must be 200."""
    assert reply.status_code == 200, reply.get_data(as_text=True)
    check_reply(reply)
    assert reply.content_type == "application/json"
    return reply.get_json()


def problem(reply: TestResponse, status: int) -> dict[str, Any]:
    """Return the body of a reply, which must be a problem with this status."""
    text = reply.get_data(as_text=True)
    assert reply.status_code == status, text
    check_reply(reply)
    assert reply.content_type == "application/problem+json"
    assert not INSIDE.search(text), text
    body: dict[str, Any] = reply.get_json()
    assert body["status"] == status
    assert body["type"] == "about:blank"
    assert body["title"] and body["detail"] and body["detail"] == " ".join(body["detail"].split())
    assert body["request_id"] == reply.headers["X-Request-Id"]
    assert ("errors" in body) == (status == 422)
    if status in (429, 503):
        assert int(reply.headers["Retry-After"]) > 0
    return body


def fault_places(reply: TestResponse) -> list[list[Any]]:
    """Return the locations of the faults of a 422 reply."""
    return [fault["loc"] for fault in problem(reply, 422)["errors"]]
