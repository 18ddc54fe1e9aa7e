"""Tests of traffic rules over HTTP: the version that answers, the headers of the reply, the shadow."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from models.publishing.publication import Description, draft_version
from models.store import Store
from models.store.lifecycle import set_traffic
from models.traffic import Arm, Match, Rule, Shadow
from tests.app.api.asking import answer
from tests.conftest import MakeApp, wait_until
from tests.toys import Plus

ROW = [1.0, 2.0]


def add(store: Store, model: Any) -> None:
    rows = [[1.0 * i] * len(model.signature.columns) for i in range(3)]
    draft = draft_version("toy", model, rows, None, Description())
    store.add(draft.manifest, draft.files)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Version 1 adds 0, 2 and 3 add 0.01 and 100, 4 fails for one row, 5 takes another column."""
    store = Store(tmp_path_factory.mktemp("traffic") / "store")
    for model in (Plus(0), Plus(0.01), Plus(100), Plus(0, fails_from=13.0), Plus(0, ("a", "c"))):
        add(store, model)
    return store


Serve = Callable[[Rule | None], FlaskClient]


@pytest.fixture
def serve(original: Store, tmp_path: Path, make_app: MakeApp) -> Serve:
    """Return a client of an application over a store with this rule."""

    def with_rule(rule: Rule | None) -> FlaskClient:
        shutil.copytree(original.path, tmp_path / "store")
        store = Store(tmp_path / "store")
        set_traffic(store, "toy", rule)
        app: Flask = make_app(store, metrics=True)
        return app.test_client()

    return with_rule


def ask(
    client: FlaskClient, path: str = "/models/toy/predict", body: Any = None, **headers: str
) -> tuple[str, str | None]:
    """Return the version that answered, and its arm."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    reply = client.post(path, json=body or {"features": ROW}, headers=named)
    found = answer(reply)
    assert found["model_version"] == reply.headers["X-Model-Version"]
    return found["model_version"], reply.headers.get("X-Model-Arm")


def page(client: FlaskClient) -> str:
    return client.get("/metrics").get_data(as_text=True)


def test_a_client_stays_with_its_arm(serve: Serve) -> None:
    client = serve(Rule(arms=(Arm(2, 30),)))
    by_key = {f"k{i}": ask(client, X_Routing_Key=f"k{i}") for i in range(60)}
    assert {ask(client, X_Routing_Key=key) == found for key, found in by_key.items()} == {True}
    assert Counter(by_key.values()).keys() == {("1", "stable"), ("2", "canary")}
    assert 5 < sum(version == "2" for version, _ in by_key.values()) < 35


def test_every_route_of_the_model_is_divided_and_versions_named_by_hand_are_not(serve: Serve) -> None:
    client = serve(Rule(arms=(Arm(2, 100),)))
    batch = {"inputs": [ROW, ROW]}
    assert ask(client) == ask(client, "/predict") == ("2", "canary")
    assert ask(client, "/models/toy/predict/batch", batch) == ("2", "canary")
    assert ask(client, "/v1/predict") == ask(client, "/models/toy/versions/1/predict") == ("1", None)
    assert ask(client, X_Model_Version="1") == ask(client, X_Model_Version="stable") == ("1", None)
    assert ask(client, X_Model_Version="canary") == ("2", None)


def test_a_header_chooses_before_the_shares(serve: Serve) -> None:
    client = serve(Rule(arms=(Arm(2, 100),), matches=(Match("X-Beta", "yes", 3),)))
    assert ask(client, X_Beta="yes") == ("3", "match")
    assert ask(client, X_Beta="no") == ("2", "canary")


@pytest.mark.parametrize(
    "form",
    [
        lambda a: {"features": [a, 2]},
        lambda a: {"features": {"b": 2, "a": a}},
        lambda a: {"a": a, "b": 2},
        lambda a: {"features": [float(a), 2]},
    ],
)
def test_without_a_key_a_column_decides(serve: Serve, form: Callable[[int], Any]) -> None:
    client = serve(Rule(arms=(Arm(2, 50),), key="a"))
    found = [ask(client, body=form(i)) for i in range(40)]
    assert found == [ask(client, body={"features": [i, 5]}) for i in range(40)]
    assert {version for version, _ in found} == {"1", "2"}
    same = {ask(client, body=form(7), X_Routing_Key=f"{i}") for i in range(40)}
    assert len(same) == 2, "the header goes first"


def test_a_body_that_has_no_such_column_is_judged_as_ever(serve: Serve) -> None:
    client = serve(Rule(arms=(Arm(2, 50),), key="a"))
    for body in (
        {"features": []},
        {"features": {"b": 1}},
        {"inputs": []},
        {},
        {"features": {"a": [1], "b": 2}},
    ):
        assert client.post("/models/toy/predict", json=body).status_code == 422
    assert client.post("/models/toy/predict", data=b"[", content_type="application/json").status_code == 400


def test_without_anything_to_stick_to_requests_are_spread(serve: Serve) -> None:
    client = serve(Rule(arms=(Arm(2, 50),)))
    assert {version for version, _ in (ask(client) for _ in range(60))} == {"1", "2"}


def test_without_a_rule_nothing_is_said_about_arms(serve: Serve) -> None:
    client = serve(None)
    assert ask(client) == ("1", None)
    assert "plumbline_arm_duration_seconds_count{" not in page(client)


def test_arms_are_counted(serve: Serve) -> None:
    client = serve(Rule(arms=(Arm(2, 100),)))
    for _ in range(3):
        ask(client)
    line = 'plumbline_arm_duration_seconds_count{arm="canary",model="toy",status="200",version="2"} 3.0'
    assert line in page(client)


@pytest.mark.parametrize(
    ("shadow", "body", "outcome"),
    [(2, ROW, "agrees"), (3, ROW, "differs"), (4, [13.0, 1.0], "error"), (5, ROW, "unlike")],
)
def test_a_shadow_is_asked_after_the_reply_and_compared(
    serve: Serve, shadow: int, body: list[float], outcome: str
) -> None:
    client = serve(Rule(shadow=Shadow(shadow)))
    assert ask(client, body={"features": body}) == ("1", "stable")
    name = "plumbline_shadow_requests_total"
    line = f'{name}{{model="toy",outcome="{outcome}",shadow="{shadow}",version="1"}} 1.0'
    wait_until(lambda: line in page(client))


def test_a_shadow_changes_nothing_in_the_reply(serve: Serve) -> None:
    client = serve(Rule(shadow=Shadow(3)))
    reply = client.post("/models/toy/predict", json={"features": ROW})
    assert answer(reply)["prediction"] == 3.0
    assert "103" not in reply.get_data(as_text=True)
    assert not [name for name, _ in reply.headers if "shadow" in name.lower()]


def test_the_catalog_says_what_canary_and_shadow_mean_now(serve: Serve) -> None:
    client = serve(Rule(arms=(Arm(2, 30),), shadow=Shadow(3)))
    found = answer(client.get("/models/toy"))
    assert found["aliases"] == {"stable": "1", "canary": "2", "shadow": "3"}
    assert found["traffic"] == Rule(arms=(Arm(2, 30),), shadow=Shadow(3)).to_json()
    assert answer(client.get("/models/toy/versions/canary"))["version"] == "2"
