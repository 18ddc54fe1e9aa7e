"""The fast path through Flask is for tested versions; with any other Flask's own class answers, byte for byte
the same."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, Flask, Response, g, request
from werkzeug.exceptions import Unauthorized

from app.api.flask_class import TESTED, FlaskClass, choose_class, class_of
from app.api.lean_flask import LeanFlask
from app.switch import Switch
from models.store import Store
from tests.app.api.asking import FLOWER, JSON, answer
from tests.conftest import UNTESTED, MakeApp

ROOT = Path(__file__).resolve().parents[3]
TESTED_VERSIONS = {library: numbers[0] for library, numbers in TESTED.items()}  # type: ignore[index]
FAST, ORDINARY = choose_class(versions=TESTED_VERSIONS), choose_class(versions=UNTESTED)


@pytest.mark.parametrize(
    ("versions", "reason"),
    [
        ({}, ""),
        ({"flask": "3.2.0"}, "the fast path was not tested with Flask 3.2.0"),
        ({"werkzeug": "3.2.0.dev0"}, "the fast path was not tested with Werkzeug 3.2.0.dev0"),
        (UNTESTED, "the fast path was not tested with Flask 4.0.0 and Werkzeug 4.0.0"),
    ],
)
def test_an_untested_version_of_either_library_gets_the_ordinary_flask(
    versions: dict[str, str], reason: str
) -> None:
    chosen = choose_class(versions={**TESTED_VERSIONS, **versions})
    assert (chosen.kind, chosen.reason) == (Flask if reason else LeanFlask, reason)


def test_without_tested_versions_the_ordinary_flask_is_used() -> None:
    chosen = choose_class({"flask": (), "werkzeug": ()})
    assert chosen.kind is Flask and chosen.reason


@pytest.mark.parametrize("library", TESTED)
def test_the_pinned_version_is_a_tested_one(library: str) -> None:
    """To raise a pin, run tests/app/api with the new version and add the version to the table."""
    (pinned,) = re.findall(rf"^{library}==(\S+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert pinned in TESTED[library]


@pytest.mark.parametrize("chosen", [FAST, ORDINARY])
def test_the_release_shows_which_path_requests_take(
    make_app: MakeApp, toy_store: Store, chosen: FlaskClass
) -> None:
    app = make_app(toy_store, flask_class=chosen)
    assert type(app) is chosen.kind and class_of(app) is chosen
    body = answer(app.test_client().get("/version"))["flask"]
    assert (body["version"], body["werkzeug"]) == tuple(chosen.versions.values())
    assert (body["fast_path"], body.get("reason", "")) == (chosen is FAST, chosen.reason)


def test_the_log_shows_the_ordinary_path_once(
    toy_store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker logs the warning about untested versions at its start, not when it rebuilds its routes."""
    monkeypatch.setenv("PLUMBLINE_STORE", str(toy_store.path))
    monkeypatch.setenv("PLUMBLINE_LOADING", "lazy")
    for chosen in (FAST, ORDINARY):
        switch = Switch(choose=lambda chosen=chosen: chosen)
        with caplog.at_level(logging.WARNING, "plumbline"):
            switch.start()
            assert switch.services is not None and switch.services.follower.on_versions is not None
            switch.services.follower.on_versions(switch.services.engine.snapshot)
            switch.close()
    assert [record.getMessage() for record in caplog.records] == [
        f"requests take Flask's ordinary path, which is slower: {ORDINARY.reason}"
    ]


class Refused(Exception):
    """An exception with a handler of the user."""


def with_hooks(app: Flask, notes: list[str]) -> Flask:
    """Add what a user may add: hooks of the application, a blueprint with hooks of its own, handlers, a
    teardown."""
    guarded, plain = Blueprint("guarded", __name__), Blueprint("plain", __name__)

    @app.before_request
    def check_key() -> None:
        notes.append(f"before {request.endpoint} {request.path}")
        g.key = request.headers.get("X-Key", "")
        if g.key == "wrong":
            raise Unauthorized("another key")

    @app.after_request
    def note_reply(response: Response) -> Response:
        notes.append(f"after {response.status} {response.content_length}")
        if g.get("key") == "marked":
            response.headers["X-Marked"] = "1"
            response.set_cookie("marked", "1")
        return response

    @app.teardown_request
    def note_end(error: BaseException | None) -> None:
        notes.append(f"teardown {type(error).__name__}")

    @app.teardown_appcontext
    def note_end_of_context(error: BaseException | None) -> None:
        notes.append(f"teardown of the context {type(error).__name__} {g.get('key')}")

    @app.errorhandler(Refused)
    def refuse(error: Refused) -> tuple[dict[str, str], int]:
        return {"refused": str(error)}, 451

    @guarded.before_request
    def check_door() -> Any:
        notes.append("before of the blueprint")
        return ("closed", 403) if "closed" in request.args else None

    @guarded.after_request
    def note_door(response: Response) -> Response:
        notes.append("after of the blueprint")
        return response

    for blueprint in (guarded, plain):

        @blueprint.route("/view", methods=["GET", "POST"])
        def view() -> dict[str, Any]:
            return {
                "key": g.key,
                "body": request.get_data(as_text=True),
                "args": request.args,
                "url": request.url,
            }

        @blueprint.get("/raise/<kind>")
        def fail(kind: str) -> str:
            raise Refused("by the view") if kind == "refused" else ValueError(kind)

        app.register_blueprint(blueprint, url_prefix=f"/{blueprint.name}")
    return app


PREDICT: dict[str, Any] = {"json": {"features": FLOWER}}
BATCH: dict[str, Any] = {"json": {"inputs": [FLOWER, [6.0, 2.9, 4.5, 1.5]]}}
ROUTES = [
    "",
    "/v1",
    "/models/iris",
    "/models/iris/versions/2",
    "/models/iris/versions/1.0.0",
    "/models/moody",
]
REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    *(("POST", f"{route}/predict", PREDICT) for route in ROUTES),
    *(("POST", f"{route}/predict/batch", BATCH) for route in ROUTES),
    ("POST", "/predict", {**PREDICT, "headers": {"X-Model-Version": "1"}}),
    ("POST", "/v1/predict", {**PREDICT, "headers": {"X-Model-Version": "2"}}),
    ("POST", "/predict", {**PREDICT, "headers": {"X-Key": "wrong"}}),
    ("POST", "/predict", {**PREDICT, "headers": {"X-Key": "marked"}}),
    ("POST", "/predict", {"json": {"features": [1, "two", None]}}),
    ("POST", "/predict", {"json": {"features": FLOWER, "more": 1}}),
    ("POST", "/predict", {"data": b"{", "headers": JSON}),
    ("POST", "/predict", {"data": b"", "headers": JSON}),
    ("POST", "/predict", {"data": b"a=1", "content_type": "application/x-www-form-urlencoded"}),
    ("POST", "/predict", {"data": b"[" + b"1," * 40_000 + b"1]", "headers": JSON}),
    ("POST", "/models/moody/predict", {"json": {"mood": "raise"}}),
    ("POST", "/models/moody/predict", {"json": {"mood": "refuse"}}),
    ("POST", "/models/moody/predict", {"json": {"mood": "fine"}}),
    *(
        (method, path, {})
        for method in ("GET", "HEAD", "OPTIONS", "DELETE")
        for path in ("/predict", "/health")
    ),
    *(
        ("GET", path, {})
        for path in ("/", "/models", "/models/iris", "/models/nothing", "/ready", "/nothing")
    ),
    *(
        ("GET", path, {})
        for path in ("/v3/predict", "/models/iris/nothing", "/admin/workers", "/plain/nothing")
    ),
    *(
        ("POST", path, PREDICT)
        for path in ("/v3/predict", "/models/none/predict", "/models/iris/versions/9/predict")
    ),
    ("GET", "/health", {"base_url": "https://example.test:8443/mounted"}),
    ("GET", "/nothing", {"base_url": "http://example.test/mounted"}),
    ("GET", "/docs", {}),
    ("GET", "/docs/", {}),
    ("GET", "/docs/assets/nothing.css", {}),
    *(
        (method, f"/{name}/view", {})
        for method in ("GET", "HEAD", "OPTIONS", "PUT")
        for name in ("guarded", "plain")
    ),
    *(("POST", f"/{name}/view?a=1&a=%20", {"data": b"x"}) for name in ("guarded", "plain")),
    ("GET", "/guarded/view?closed=1", {}),
    ("GET", "/guarded/view", {"headers": {"X-Key": "wrong"}}),
    *(("GET", f"/{name}/raise/{kind}", {}) for name in ("guarded", "plain") for kind in ("refused", "other")),
]

#: What differs from request to request: times, and ids that the server makes.
TIMES = re.compile(r"(?<=dur=)[0-9.]+")
IDS = re.compile(rb"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")


def replies(app: Flask, notes: list[str]) -> Iterator[tuple[Any, ...]]:
    """Send every request twice; return the status, headers and body of each reply, and the hooks' calls."""
    client = app.test_client(use_cookies=False)
    for method, path, more in REQUESTS * 2:
        notes.clear()
        reply = client.open(path, method=method, **more)
        headers = [(name, IDS.sub(b"ID", TIMES.sub("T", value).encode())) for name, value in reply.headers]
        yield method, path, reply.status, headers, IDS.sub(b"ID", reply.get_data()), list(notes)


def test_both_classes_give_the_same_replies_and_call_the_same_hooks(
    make_app: MakeApp, toy_store: Store
) -> None:
    given = []
    for chosen in (FAST, ORDINARY):
        notes: list[str] = []
        app = with_hooks(make_app(toy_store, flask_class=chosen, max_body_bytes=65_536), notes)
        app.logger.disabled = True
        given.append(list(replies(app, notes)))
    for fast, ordinary in zip(*given, strict=True):
        assert fast == ordinary
    statuses = {int(status.split()[0]) for _, _, status, *_ in given[0]}
    assert statuses >= {200, 308, 400, 401, 403, 404, 405, 413, 415, 422, 451, 500}


@pytest.mark.stress
def test_the_tests_of_the_api_pass_on_the_ordinary_class() -> None:
    """The long form of the test before, with all tests of the API."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/app/api"]
    run = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "TEST_FLASK": "ordinary"}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout[-5000:]


@pytest.mark.parametrize("chosen", [FAST, ORDINARY])
def test_each_version_has_a_blueprint_whose_predictions_a_hook_of_the_application_sees(
    make_app: MakeApp, toy_store: Store, chosen: FlaskClass
) -> None:
    """Authentication in ``before_request`` applies to every prediction."""
    app = make_app(toy_store, flask_class=chosen)
    seen: list[tuple[str | None, str]] = []

    @app.before_request
    def authenticate() -> None:
        seen.append((request.blueprint, request.path))
        if "Authorization" not in request.headers:
            raise Unauthorized("sign in")

    client = app.test_client()
    for version in (1, 2):
        blueprint = app.blueprints[f"iris-{version}"]
        rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint.split(".")[0] == blueprint.name]
        assert {rule.rule for rule in rules} == {
            f"{prefix}/{path}"
            for prefix in (f"/models/iris/versions/{version}", f"/v{version}")
            for path in ("predict", "predict/batch")
        }
        for rule in rules:
            asked = BATCH if rule.rule.endswith("batch") else PREDICT
            seen.clear()
            assert client.post(rule.rule, **asked).status_code == 401
            reply = client.post(rule.rule, **asked, headers={"Authorization": "Bearer x"})
            assert answer(reply) and reply.headers["X-Model-Version"] == str(version)
            assert seen == [(blueprint.name, rule.rule)] * 2
    for path, blueprint_name in (("/predict", "routed"), ("/models/iris/predict", "routed")):
        seen.clear()
        assert client.post(path, **PREDICT).status_code == 401
        assert answer(client.post(path, **PREDICT, headers={"Authorization": "Bearer x"}))
        assert seen == [(blueprint_name, path)] * 2
