"""Tests that LeanFlask behaves like Flask: the same routes, hooks and signals on both."""

from __future__ import annotations

from typing import Any

import pytest
from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    after_this_request,
    current_app,
    g,
    has_app_context,
    request,
    session,
    url_for,
)
from flask.globals import request_ctx
from flask.signals import (
    appcontext_popped,
    appcontext_pushed,
    appcontext_tearing_down,
    request_finished,
    request_started,
    request_tearing_down,
)
from werkzeug.exceptions import BadRequest

from app.api.flask_class import choose_class, new_application
from app.api.lean_flask import LeanFlask
from tests.conftest import UNTESTED


class Teapot(Exception):
    """An exception with a handler."""


def build(kind: type[Flask], said: list[str]) -> Flask:
    """An application that notes what it does: Flask as it comes, or this project's."""
    app = Flask("app") if kind is Flask else new_application(choose_class(), "app")
    assert type(app) is kind
    hooked = Blueprint("hooked", __name__)
    plain = Blueprint("plain", __name__)

    @app.before_request
    def first() -> Any:
        said.append(f"before {request.endpoint} {request.path}")
        g.seen = "seen"
        return Response("early", 418) if "early" in request.args else None

    @app.after_request
    def after(response: Response) -> Response:
        said.append(f"after {response.status_code} {g.seen}")
        response.headers["X-After"] = "1"
        return response

    @app.after_request
    def after_too(response: Response) -> Response:
        said.append("after too, and first")
        return response

    @app.teardown_request
    def teardown(error: BaseException | None) -> None:
        said.append(f"teardown {type(error).__name__}")

    @hooked.before_request
    def of_blueprint() -> None:
        said.append("before of the blueprint")

    @hooked.after_request
    def after_blueprint(response: Response) -> Response:
        said.append("after of the blueprint")
        return response

    @app.errorhandler(Teapot)
    def teapot(error: Teapot) -> tuple[str, int]:
        return f"teapot {error}", 418

    @app.errorhandler(BadRequest)
    def bad(error: BadRequest) -> tuple[dict[str, Any], int]:
        return {"bad": error.description}, 400

    @app.route("/echo", methods=["GET", "POST", "PUT"])
    @plain.route("/echo", methods=["GET", "POST"])
    @hooked.route("/echo", methods=["GET", "POST"])
    def echo() -> dict[str, Any]:
        names = "method path full_path url base_url root_path script_root host scheme remote_addr is_secure endpoint"
        found = {name: getattr(request, name) for name in names.split()}
        return {
            **found,
            "args": request.args.to_dict(flat=False),
            "headers": sorted(f"{k}: {v}" for k, v in request.headers.items()),
            "data": request.get_data(as_text=True),
            "json": request.get_json(silent=True),
            "cookies": request.cookies,
            "form": request.form.to_dict(),
            "query": request.query_string.decode(),
            "server": request.server,
            "g": g.seen,
        }

    @app.get("/items/<int:number>/<name>")
    def item(number: int, name: str) -> dict[str, Any]:
        return {"number": number, "name": name, "url": url_for("item", number=number + 1, name=name)}

    @app.get("/slash/")
    def slash() -> str:
        return "slash"

    @app.get("/raise/<kind>")
    def raises(kind: str) -> str:
        if kind == "teapot":
            raise Teapot("short and stout")
        if kind == "abort":
            abort(400, "on purpose")
        raise RuntimeError(kind)

    @app.get("/matched")
    def matched() -> dict[str, Any]:
        adapter = request_ctx.url_adapter
        assert adapter is not None
        request.view_args["mine"] = 1  # type: ignore[index]
        return {
            "args": request.view_args,
            "other": adapter.match("/items/7/x", method="GET")[1],
            "other too": adapter.match(path_info="/items/8/y", method="GET")[1],
            "tested": adapter.test("/nothing"),
        }

    @app.get("/after-this")
    def after_this() -> str:
        @after_this_request
        def late(response: Response) -> Response:
            response.headers["X-Late"] = "1"
            return response

        return "late"

    @app.get("/tuple")
    def pair() -> tuple[str, int, dict[str, str]]:
        return "made", 201, {"X-Made": "1"}

    @app.get("/none")
    def none() -> Any:
        return None

    app.register_blueprint(plain, url_prefix="/plain")
    app.register_blueprint(hooked, url_prefix="/hooked")
    return app


ASKED: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/echo", {}),
    ("GET", "/echo?a=1&a=2&b=%20c", {"headers": {"X-Note": "é", "Cookie": "a=b"}}),
    ("POST", "/echo", {"data": b'{"a": [1, 2.5, null]}', "content_type": "application/json"}),
    ("POST", "/echo", {"data": {"field": "value"}}),
    ("POST", "/plain/echo", {"data": b"\xff\x00", "content_type": "application/octet-stream"}),
    ("PUT", "/echo", {"data": b"x", "base_url": "https://example.test:8443/mounted"}),
    ("POST", "/hooked/echo", {"data": b"1", "content_type": "application/json"}),
    ("HEAD", "/echo", {}),
    ("OPTIONS", "/echo", {}),
    ("DELETE", "/echo", {}),
    ("GET", "//echo", {}),
    ("GET", "/nothing", {}),
    ("GET", "/echo?early=1", {}),
    ("GET", "/items/7/%C3%A9%2Fx", {}),
    ("GET", "/items/7/n%C3%A4me", {}),
    ("GET", "/items/7/n%ff", {}),
    ("GET", "/items/x/name", {}),
    ("GET", "/slash", {}),
    ("GET", "/slash/", {}),
    ("GET", "/raise/teapot", {}),
    ("GET", "/raise/abort", {}),
    ("GET", "/raise/other", {}),
    ("GET", "/after-this", {}),
    ("GET", "/matched", {}),
    ("GET", "/tuple", {}),
    ("GET", "/none", {}),
]


def asked(app: Flask, said: list[str], times: int = 2) -> list[Any]:
    """Return the replies to every request, sent twice so that the second uses the caches."""
    client = app.test_client()
    found = []
    for method, path, more in ASKED * times:
        said.clear()
        reply = client.open(path, method=method, **more)
        body = reply.get_json(silent=True) or reply.get_data()
        kept = sorted(pair for pair in reply.headers.items() if pair[0] != "Content-Length")
        found.append((method, path, reply.status, body, kept, list(said)))
    return found


OF_REQUESTS = (request_started, request_finished, request_tearing_down)
OF_CONTEXTS = (appcontext_pushed, appcontext_popped, appcontext_tearing_down)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("signals", [(), OF_REQUESTS, OF_CONTEXTS, OF_REQUESTS + OF_CONTEXTS])
def test_it_does_what_flask_does(signals: tuple[Any, ...]) -> None:
    payload: dict[type[Flask], list[Any]] = {}
    for kind in (Flask, LeanFlask):
        said: list[str] = []
        app = build(kind, said)
        app.logger.disabled = True

        def hear(sender: Any, said: list[str] = said, **more: Any) -> None:
            said.append(f"signal {sorted(more)}")

        for signal in signals:
            signal.connect(hear, app)
        payload[kind] = asked(app, said)
        for signal in signals:
            signal.disconnect(hear, app)
    for flask, lean in zip(payload[Flask], payload[LeanFlask], strict=True):
        assert flask == lean


def test_trusted_hosts_are_looked_at_in_every_request() -> None:
    for kind in (Flask, LeanFlask):
        app = build(kind, [])
        app.config["TRUSTED_HOSTS"] = ["good.test"]
        client = app.test_client()
        for host, status in (("good.test", 200), ("evil.test", 400), ("good.test", 200)):
            assert client.get("/echo", headers={"Host": host}).status_code == status


@pytest.mark.parametrize("kind", [Flask, LeanFlask])
def test_outside_of_a_request_there_is_the_application(kind: type[Flask]) -> None:
    app = build(kind, [])
    app.config["SERVER_NAME"] = "host.test"
    ended: list[Any] = []

    @app.teardown_appcontext
    def teardown(error: BaseException | None) -> None:
        ended.append(error)

    with app.app_context():
        assert url_for("echo") == "http://host.test/echo"
        assert current_app.name == "app"
        g.kept = 1
        with app.app_context():
            assert "kept" not in g
        assert g.kept == 1
    error = ValueError()
    with pytest.raises(ValueError), app.app_context():
        raise error
    inner = app.app_context()
    inner.push()
    inner.pop()
    inner.push()
    inner.pop(exc=error)
    assert ended == [None, None, error, None, error]
    assert not has_app_context()


@pytest.mark.parametrize("versions", [None, UNTESTED])
def test_there_is_no_session(versions: dict[str, str] | None) -> None:
    app = new_application(choose_class(versions=versions), "app")

    @app.get("/")
    def write() -> str:
        session["a"] = 1
        return ""

    app.logger.disabled = True
    assert app.test_client().get("/").status_code == 500


def test_what_is_remembered_of_paths_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.api.lean_flask.KEPT_MATCHES", 10)
    app = build(LeanFlask, [])
    client = app.test_client()
    for i in range(30):
        assert client.get(f"/items/{i}/x").get_json()["number"] == i
        assert len(app.known_matches) <= 10  # type: ignore[attr-defined]
