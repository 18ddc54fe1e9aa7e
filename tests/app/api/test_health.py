"""Tests of liveness, readiness, the release, and the index."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from app.api.context import context_of
from app.config import VERSION
from models.store import Store
from tests.app.api.asking import answer, check_reply, problem
from tests.conftest import FLASK_CLASS, MakeApp

MODELS = ["forecast", "iris", "moody", "odd", "shop", "unnamed"]
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize("path", ["/health", "/healthz", "/livez"])
def test_alive_is_alive_under_all_its_names(client: FlaskClient, path: str) -> None:
    assert answer(client.get(path)) == {"status": "healthy"}


@pytest.mark.parametrize("path", ["/ready", "/readyz"])
def test_ready_lists_each_model_and_version(client: FlaskClient, path: str) -> None:
    body = answer(client.get(path))
    assert body["status"] == "ready"
    assert list(body["models"]) == MODELS
    assert body["models"]["iris"] == {
        "state": "ready",
        "versions": {"1": {"state": "ready"}, "2": {"state": "ready"}},
    }


@pytest.mark.parametrize("name", MODELS)
def test_each_model_is_ready_by_itself(client: FlaskClient, name: str) -> None:
    assert answer(client.get(f"/models/{name}/ready")) == {"name": name, "ready": True, "state": "ready"}


def test_a_draining_worker_is_not_ready_and_still_answers(make_app: MakeApp, toy_store: Store) -> None:
    app = make_app(toy_store)
    context_of(app).draining = lambda: True
    client = app.test_client()
    reply = client.get("/ready")
    check_reply(reply)
    assert (reply.status_code, reply.get_json()["status"]) == (503, "draining")
    assert client.get("/health").status_code == 200
    assert client.post("/models/moody/predict", json={"mood": "fine"}).status_code == 200


def test_an_empty_store_is_not_ready_and_says_why(make_app: MakeApp, tmp_path: Path) -> None:
    client = make_app(tmp_path).test_client()
    reply = client.get("/ready")
    assert reply.status_code == 503
    assert reply.get_json() == {"status": "unable", "reason": "the store is empty", "models": {}}
    assert client.get("/health").status_code == 200


def test_a_store_that_cannot_be_read_is_not_ready_and_shows_no_path(
    make_app: MakeApp, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = tmp_path / "store"
    (store / "generation").mkdir(parents=True)
    client = make_app(store).test_client()
    reply = client.get("/ready")
    assert reply.status_code == 503
    assert "the log says why" in reply.get_json()["reason"]
    assert str(tmp_path) not in reply.get_data(as_text=True)
    assert str(store) in caplog.text
    payload = problem(client.post("/predict", json={}), 503)
    assert str(tmp_path) not in str(payload)


def test_one_damaged_model_leaves_the_server_ready(
    make_app: MakeApp, toy_store: Store, tmp_path: Path
) -> None:
    shutil.copytree(toy_store.path, tmp_path / "store")
    (tmp_path / "store/moody/state.json").write_bytes(b"{")
    client = make_app(tmp_path / "store").test_client()
    body = answer(client.get("/ready"))
    assert body["models"]["moody"]["state"] == "failed"
    assert "moody/state.json is damaged" in body["models"]["moody"]["reason"]
    assert body["models"]["iris"]["state"] == "ready"


@pytest.mark.parametrize(("required", "status"), [(("iris", "shop"), 200), (("iris", "pricing"), 503)])
def test_required_models_must_be_able_to_answer(
    make_app: MakeApp, toy_store: Store, required: tuple[str, ...], status: int
) -> None:
    reply = make_app(toy_store, required_models=required).test_client().get("/ready")
    assert reply.status_code == status
    if status == 503:
        assert reply.get_json()["reason"] == "required models cannot answer: pricing"


def test_the_release_and_the_generation_of_the_store_are_told(client: FlaskClient, toy_store: Store) -> None:
    body = answer(client.get("/version"))
    assert body.pop("flask")["version"] == FLASK_CLASS.versions["flask"]
    assert body == {"version": VERSION, "generation": toy_store.generation()}


def test_metrics_have_the_media_type_of_the_text_format(client: FlaskClient) -> None:
    reply = client.get("/metrics")
    check_reply(reply)
    assert reply.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert 'plumbline_model_ready{model="iris",version="1"} 1.0' in reply.get_data(as_text=True)


def test_the_index_links_what_there_is(client: FlaskClient) -> None:
    body = answer(client.get("/"))
    assert (body["name"], body["version"]) == ("plumbline", VERSION)
    assert set(body["links"]) == {"models", "health", "ready", "version", "metrics", "docs", "openapi"}
    assert body["predict"] == {name: f"/models/{name}/predict" for name in MODELS}
    for path in body["links"].values():
        assert client.get(path).status_code == 200, path


def test_the_index_links_only_what_is_switched_on(make_app: MakeApp, toy_store: Store) -> None:
    client = make_app(toy_store, docs=False, metrics=False).test_client()
    assert set(answer(client.get("/"))["links"]) == {"models", "health", "ready", "version"}
    for path in ("/docs/", "/openapi.json", "/metrics"):
        problem(client.get(path), 404)


def test_a_browser_gets_a_page(client: FlaskClient) -> None:
    reply = client.get("/", headers={"Accept": BROWSER})
    assert reply.content_type == "text/html; charset=utf-8"
    page = reply.get_data(as_text=True)
    links = re.findall(r'href="\.([^"]+)"', page)
    assert set(links) >= {"/models", "/ready", "/docs/", *(f"/models/{name}" for name in MODELS)}
    assert all(client.get(link).status_code == 200 for link in links)


def test_the_page_allows_its_own_style_and_nothing_else(client: FlaskClient) -> None:
    """The policy has the digest of the style, so a style that a model's description injects has no effect."""
    reply = client.get("/", headers={"Accept": BROWSER})
    page = reply.get_data(as_text=True)
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.S)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = reply.headers["Content-Security-Policy"]
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'"
    assert "<script" not in page and "style=" not in page


@pytest.mark.parametrize(
    "accept", ["*/*", "application/json", "application/json, text/html;q=0.5", "", "image/png"]
)
def test_a_program_gets_json(client: FlaskClient, accept: str) -> None:
    assert answer(client.get("/", headers={"Accept": accept}))["name"] == "plumbline"
