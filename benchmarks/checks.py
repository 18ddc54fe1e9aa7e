"""What a server does with rows that no model was trained on: checks that are run, not opinions.

Each is a fact of the running arm: whether a boolean, text or NaN among numbers is refused, whether the refusal says where the
fault is, and whether the server documents the shape of its requests by itself.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from benchmarks.callers import CallFailed, HttpCaller
from benchmarks.server_process import Running
from benchmarks.wires import JSON, Request
from benchmarks.workload import parity

#: A number that no row holds, to be replaced in the text of a body.
PLACEHOLDER = 31415.925
DOCUMENTS = ("/openapi.json", "/docs.json", "/v2/docs/dataplane.json")


def check_validation(server: Running) -> dict[str, bool]:
    """Name of the check -> whether it holds; empty for an arm that does not speak HTTP with JSON bodies."""
    if server.arm.protocol != "http" or server.arm.wire.headers != JSON:
        return {}
    row = list(parity(server.model).rows[0])
    row[1] = PLACEHOLDER
    request = server.arm.wire.request([row])
    with server.caller() as ask:
        if not isinstance(ask, HttpCaller):
            return {}
        replies = {
            name: _refusal(ask, request, text)
            for name, text in (
                ("boolean", b"true"),
                ("text", b'"abc"'),
                ("numeric_text", b'"1.5"'),
                ("nan", b"NaN"),
            )
        }
        documented = any(_documents(ask, path, request.path) for path in DOCUMENTS)
    refused = {f"refuses_{name}": reply is not None for name, reply in replies.items()}
    located = any(_names_the_place(reply) for reply in replies.values() if reply)
    return {**refused, "reports_location": located, "documents_schema": documented}


def _refusal(ask: HttpCaller, request: Request, cell: bytes) -> bytes | None:
    """The body of a 4xx reply to a row with this cell, or None when the server answered anything else."""
    body = request.body.replace(orjson.dumps(PLACEHOLDER), cell)
    status, reply = _exchange(ask, "POST", request.path, body)
    return reply if 400 <= status < 500 else None


def _exchange(ask: HttpCaller, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    """Status and body; 0 when two connections gave none. Servers close the first one after a fault of theirs."""
    for _ in range(2):
        try:
            return ask.exchange(method, path, body, JSON if body else None)
        except CallFailed:
            continue
    return 0, b""


def _names_the_place(reply: bytes) -> bool:
    """Whether the refusal points at the second value of the row, by number or by name."""
    try:
        value: Any = orjson.loads(reply)
    except orjson.JSONDecodeError:
        return False
    return any(
        re.search(r"(^|\D)1$|width|x0*1$", str(part)) for loc in _locations(value) for part in loc[-1:]
    )


def _locations(value: Any) -> list[list[Any]]:
    if isinstance(value, dict):
        own = [value["loc"]] if isinstance(value.get("loc"), list) else []
        return own + [found for inner in value.values() for found in _locations(inner)]
    return [found for inner in value for found in _locations(inner)] if isinstance(value, list) else []


def _documents(ask: HttpCaller, path: str, predict: str) -> bool:
    """Whether an OpenAPI document there gives the request of the prediction route a shape of its own."""
    try:
        status, reply = _exchange(ask, "GET", path)
        operation = orjson.loads(reply)["paths"][predict]["post"] if status == 200 else {}
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return False
    return bool({"$ref", "properties", "oneOf", "anyOf", "allOf"} & set(schema))
