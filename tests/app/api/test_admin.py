"""Tests of /admin: authentication, the effect of each operation, and refusals."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.api.admin import check_token
from models.store import Store
from tests.app.api.asking import answer, problem
from tests.conftest import MakeApp
from tests.toys import summing_draft, toy_store

TOKEN, OTHER = "t" * 32, "u" * 32
DRAFT = summing_draft()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with versions 1 to 3 of ``toy``."""
    return toy_store(tmp_path / "store", 3)


@pytest.fixture
def app(make_app: MakeApp, store: Store) -> Flask:
    return make_app(store, admin_token=f"{TOKEN} {OTHER}")


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def ask(client: FlaskClient, method: str, path: str, body: Any = None, token: str | None = TOKEN) -> Any:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return client.open(f"/admin{path}", method=method, json=body, headers=headers)


def stable(client: FlaskClient) -> str:
    """Return the version that answers."""
    found: str = answer(client.post("/predict", json={"features": [1, 2]}))["model_version"]
    return found


def test_without_a_configured_token_there_is_nothing(make_app: MakeApp, store: Store) -> None:
    client = make_app(store).test_client()
    for method, path in (
        ("POST", "/reload"),
        ("GET", "/workers"),
        ("POST", "/models/toy/promote"),
        ("GET", ""),
    ):
        found = problem(ask(client, method, path, {} if method == "POST" else None), 404)
        assert found["detail"] == problem(client.get("/nothing"), 404)["detail"]


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer é",
    ],
)
def test_without_a_valid_token_nothing_happens(client: FlaskClient, store: Store, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    reply = client.post("/admin/models/toy/promote", json={"version": 2}, headers=headers)
    problem(reply, 401)
    assert reply.headers["WWW-Authenticate"].lower().startswith("bearer")
    assert store.resolve("toy") == 1


def test_no_route_of_the_administration_is_without_the_check(app: Flask, client: FlaskClient) -> None:
    rules = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/admin")]
    assert len(rules) >= 8
    for rule in rules:
        assert rule.endpoint.startswith("admin."), f"{rule} does not belong to the blueprint that checks"
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}:
            problem(client.open(rule.rule.replace("<name>", "toy"), method=method), 401)
    assert app.before_request_funcs["admin"] == [check_token]


@pytest.mark.parametrize("token", [TOKEN, OTHER])
def test_two_tokens_are_valid_at_once(client: FlaskClient, token: str) -> None:
    assert ask(client, "GET", "/workers", token=token).status_code == 200


def test_a_promotion_and_its_rollback_are_served_when_they_return(client: FlaskClient, store: Store) -> None:
    found = answer(ask(client, "POST", "/models/toy/promote", {"version": 2, "reason": "better"}))
    assert (found["before"], found["after"], found["complete"]) == (1, 2, True)
    assert stable(client) == "2"
    assert answer(ask(client, "POST", "/models/toy/rollback"))["after"] == 1
    assert stable(client) == "1"
    promoted, rolled_back = answer(ask(client, "GET", "/models/toy/history"))["history"][-2:]
    assert (promoted["what"], promoted["why"], promoted["before"], promoted["version"]) == (
        "promote",
        "better",
        1,
        2,
    )
    assert promoted["who"].startswith("admin at ")
    assert (rolled_back["what"], rolled_back["version"]) == ("rollback", 1)


def test_a_tag_is_set_and_promoted_by_its_name(client: FlaskClient, store: Store) -> None:
    answer(ask(client, "POST", "/models/toy/tag", {"version": 3, "tag": "2.0.0"}))
    assert answer(ask(client, "POST", "/models/toy/promote", {"version": "2.0.0"}))["after"] == 3
    assert stable(client) == "3"


def test_a_version_that_was_published_a_moment_ago_can_be_promoted(client: FlaskClient, store: Store) -> None:
    store.add(DRAFT.manifest, DRAFT.files)
    answer(ask(client, "POST", "/models/toy/promote", {"version": "latest"}))
    assert stable(client) == "4"


def test_traffic_is_set_and_cleared(client: FlaskClient, store: Store) -> None:
    rule = {"arms": [{"version": 2, "percent": 100}]}
    assert answer(ask(client, "PUT", "/models/toy/traffic", {"rule": rule}))["after"] == rule
    assert stable(client) == "2"
    answer(ask(client, "DELETE", "/models/toy/traffic"))
    assert stable(client) == "1"


def test_a_reload_is_a_new_generation(client: FlaskClient, store: Store) -> None:
    before = store.generation()
    assert answer(ask(client, "POST", "/reload"))["generation"] == store.generation() != before


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("POST", "/models/toy/promote", {"version": 2, "expected": 3}, 409, "stable is version 1 by now"),
        ("POST", "/models/toy/promote", {"version": 2, "if_better": "auc"}, 409, "recorded no metric"),
        ("POST", "/models/toy/rollback", {}, 409, "no version that was stable before"),
        ("POST", "/models/toy/promote", {"version": 9}, 404, "no version or tag"),
        ("POST", "/models/none/promote", {"version": 1}, 404, "none"),
        ("POST", "/models/NONE/rollback", {}, 404, "not a model name"),
        ("POST", "/models/toy/promote", {}, 422, "errors"),
        ("POST", "/models/toy/promote", {"version": 2, "reson": "x"}, 422, "errors"),
        ("POST", "/models/toy/promote", {"version": 2, "expected": "1"}, 422, "errors"),
        ("POST", "/models/toy/promote", [2], 422, "errors"),
        ("POST", "/models/toy/tag", {"version": 2, "tag": "stable"}, 404, "cannot be set as a tag"),
        ("PUT", "/models/toy/traffic", {"rule": {"arms": [{"version": 2, "percent": 0}]}}, 422, "0 percent"),
        ("PUT", "/models/toy/traffic", {"rule": {"arms": [{"version": 9, "percent": 5}]}}, 404, "no version"),
        ("PUT", "/models/toy/traffic", {}, 422, "errors"),
        ("GET", "/models/none/history", None, 404, "none"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(
    client: FlaskClient, store: Store, method: str, path: str, body: Any, status: int, says: str
) -> None:
    before = store.generation()
    found = problem(ask(client, method, path, body), status)
    assert says in found["detail"] or says in found
    assert store.generation() == before


def test_a_damaged_version_is_not_promoted(client: FlaskClient, store: Store) -> None:
    shutil.rmtree(store.path / "toy" / "3")
    (store.path / "toy" / "3").mkdir()
    assert ask(client, "POST", "/models/toy/promote", {"version": 3}).status_code in (404, 503)
    assert stable(client) == "1"


def test_workers_are_listed(client: FlaskClient) -> None:
    assert answer(ask(client, "GET", "/workers")) == {"workers": []}, "there are none without gunicorn"
