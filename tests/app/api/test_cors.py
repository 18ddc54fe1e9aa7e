"""Tests of CORS: only pages of configured origins may read replies, including errors."""

from __future__ import annotations

import subprocess
import sys

import pytest
from flask import Flask

from app.config import ConfigError, load_settings
from models.store import Store
from tests.app.api.asking import FLOWER, answer, check_reply
from tests.conftest import MakeApp

SHOP, LOCAL, SIX = "https://shop.example", "http://localhost:3000", "http://[::1]:5173"
TOKEN = "t" * 32
ALLOWED = "Access-Control-Allow-Origin"


@pytest.fixture(scope="module")
def app(make_app: MakeApp, toy_store: Store) -> Flask:
    return make_app(toy_store, cors_origins=(SHOP, LOCAL, SIX), admin_token=TOKEN)


def test_by_default_there_is_no_header_and_no_hook(toy_app: Flask, app: Flask) -> None:
    reply = toy_app.test_client().get("/models", headers={"Origin": SHOP})
    assert not [name for name, _ in reply.headers if name.startswith("Access-Control")]
    assert len(app.after_request_funcs[None]) == len(toy_app.after_request_funcs[None]) + 1


def test_by_default_the_library_is_not_even_imported() -> None:
    code = "import sys; from app.factory import create_app; from app.config import Settings; " + (
        "create_app(Settings(cors_origins=%r)); print('flask_cors' in sys.modules)"
    )
    for origins, imported in (((), "False"), ((SHOP,), "True")):
        done = subprocess.run([sys.executable, "-c", code % (origins,)], capture_output=True, text=True)
        assert done.stdout.strip() == imported, done.stderr


@pytest.mark.parametrize("origin", [SHOP, LOCAL, SIX])
def test_a_page_of_a_named_origin_may_ask(app: Flask, origin: str) -> None:
    client = app.test_client()
    reply = client.post("/predict", json={"features": FLOWER}, headers={"Origin": origin})
    answer(reply)
    assert reply.headers.getlist(ALLOWED) == [origin]
    assert reply.headers["Vary"] == "Origin"
    shown = reply.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"X-Model-Version", "X-Prediction-Id", "X-Request-Id", "Server-Timing"} <= set(shown)
    assert "Access-Control-Allow-Credentials" not in reply.headers


@pytest.mark.parametrize(
    "origin",
    [
        "https://shop.example.evil.example",
        "https://evil-shop.example",
        "https://shopxexample",
        "http://shop.example",
        "https://shop.example:8443",
        "http://localhost:30001",
        "null",
        "*",
        "",
    ],
)
def test_a_page_of_any_other_origin_may_not(app: Flask, origin: str) -> None:
    for method in ("GET", "OPTIONS"):
        asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        reply = app.test_client().open("/models", method=method, headers=asked)
        assert not [name for name, _ in reply.headers if name.startswith("Access-Control")], origin


@pytest.mark.parametrize(
    ("path", "method", "body", "status"),
    [
        ("/predict", "POST", b'{"features": ["x"]}', 422),
        ("/predict", "POST", b"{", 400),
        ("/predict", "GET", None, 405),
        ("/models/nothing", "GET", None, 404),
        ("/nothing", "GET", None, 404),
        ("/models/moody/predict", "POST", b'{"mood": "raise"}', 500),
    ],
)
def test_errors_can_be_read_too(app: Flask, path: str, method: str, body: bytes | None, status: int) -> None:
    headers = {"Origin": SHOP, **({"Content-Type": "application/json"} if body else {})}
    reply = app.test_client().open(path, method=method, data=body, headers=headers)
    assert reply.status_code == status
    check_reply(reply)
    assert reply.headers.getlist(ALLOWED) == [SHOP]
    assert "X-Request-Id" in reply.headers["Access-Control-Expose-Headers"]


def test_a_preflight_is_answered_with_what_is_allowed(app: Flask) -> None:
    asked = {
        "Origin": SHOP,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type, x-model-version",
    }
    reply = app.test_client().options("/predict", headers=asked)
    assert (reply.status_code, reply.data) == (200, b"")
    check_reply(reply)
    assert reply.headers[ALLOWED] == SHOP
    assert "POST" in reply.headers["Access-Control-Allow-Methods"].split(", ")
    assert reply.headers["Access-Control-Allow-Headers"] == "content-type, x-model-version"
    assert int(reply.headers["Access-Control-Max-Age"]) > 0


@pytest.mark.parametrize("path", ["/admin/workers", "/admin", "/admin/models/iris/promote"])
def test_the_administration_is_for_no_page(app: Flask, path: str) -> None:
    headers = {"Origin": SHOP, "Authorization": f"Bearer {TOKEN}", "Access-Control-Request-Method": "POST"}
    for method in ("GET", "POST", "OPTIONS"):
        assert ALLOWED not in app.test_client().open(path, method=method, headers=headers).headers


def test_a_star_is_every_origin(make_app: MakeApp, toy_store: Store) -> None:
    client = make_app(toy_store, cors_origins=("*",)).test_client()
    for origin in ("https://anything.example", "null"):
        reply = client.get("/models", headers={"Origin": origin})
        assert reply.headers.getlist(ALLOWED) == ["*"]
        assert "Vary" not in reply.headers
        assert "Access-Control-Allow-Credentials" not in reply.headers
    assert ALLOWED not in client.get("/models").headers


@pytest.mark.parametrize(
    "given",
    [
        SHOP,
        f"{SHOP}, {LOCAL}",
        SIX,
        "*",
        "HTTPS://Shop.example",
        "capacitor://localhost",
        "http://10.0.0.7:8080",
    ],
)
def test_origins_are_taken_as_browsers_write_them(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("PLUMBLINE_CORS_ORIGINS", given)
    assert ", ".join(load_settings().cors_origins) == given


@pytest.mark.parametrize(
    "given",
    [
        "shop.example",
        "https://shop.example/",
        "https://shop.example/path",
        "https://*.example",
        "https://user@shop.example",
        "https://shop.example:443",
        "http://shop.example:80",
        "http://shop.example:0",
        "https://",
        "null",
        f"{SHOP},null",
        f"{SHOP} {LOCAL}",
        "https://shop.example:port",
        ".*",
    ],
)
def test_what_no_browser_would_send_is_refused_at_start_up(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("PLUMBLINE_CORS_ORIGINS", given)
    with pytest.raises(ConfigError, match=r"PLUMBLINE_CORS_ORIGINS=.*: use scheme://host"):
        load_settings()
