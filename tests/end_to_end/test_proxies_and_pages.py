"""Tests of pages of another origin, a proxy with a prefix, and gzipped bodies on a real server."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator

import pytest

from models.store import Store
from tests.end_to_end.server import Reply, Server

ROW = {"features": [5.1, 3.5, 1.4, 0.2]}
ORIGIN = "https://shop.example"


@pytest.fixture(scope="module")
def server(toy_store: Store) -> Iterator[Server]:
    """A server with one worker that trusts a proxy and the pages of one origin."""
    settings = {"PLUMBLINE_CORS_ORIGINS": ORIGIN, "PLUMBLINE_PROXY_HOPS": "1"}
    with Server(toy_store.path, **settings) as running:
        yield running


def allowed(reply: Reply) -> str | None:
    return reply.headers.get("access-control-allow-origin")


def test_a_page_asks_beforehand_and_then_asks(server: Server) -> None:
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,x-model-version",
    }
    preflight = server.request("OPTIONS", "/predict", headers=asked)
    assert (preflight.status, preflight.body, allowed(preflight)) == (200, b"", ORIGIN)
    assert preflight.headers["content-length"] == "0"
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert preflight.headers["access-control-allow-headers"] == "content-type, x-model-version"
    for body, status in ((ROW, 200), ({"features": []}, 422)):
        reply = server.post("/predict", body, {"Origin": ORIGIN})
        assert (reply.status, allowed(reply), reply.headers["vary"]) == (status, ORIGIN, "Origin")
    assert allowed(server.post("/predict", ROW, {"Origin": "https://other.example"})) is None
    assert allowed(server.post("/predict", ROW)) is None


def test_the_links_of_the_index_begin_with_what_the_proxy_takes_away(server: Server) -> None:
    links = server.get("/", {"X-Forwarded-Prefix": "/ml"}).json()["links"]
    assert links["models"] == "/ml/models"
    assert server.get("/").json()["links"]["models"] == "/models"
    assert server.get("//models").status == 404


@pytest.mark.parametrize("more", [{}, {"X-Forwarded-Proto": "https"}])
def test_a_gzipped_body_is_answered_in_both_lanes(server: Server, more: dict[str, str]) -> None:
    headers = {"Content-Encoding": "gzip", **more}
    reply = server.post("/predict", gzip.compress(json.dumps(ROW).encode()), headers)
    assert (reply.status, reply.json()["prediction"]) == (200, 0)
    assert server.post("/predict", gzip.compress(b" " * (2 << 20)), headers).status == 413
    assert server.post("/predict", b"\x1f\x8b", headers).status == 400
    refused = server.post("/predict", b"{}", {**headers, "Content-Encoding": "br"})
    assert (refused.status, refused.headers["accept-encoding"]) == (415, "gzip")
