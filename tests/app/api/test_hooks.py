"""Tests of the hooks: the request id, the security headers, the log line without data, the metrics."""

from __future__ import annotations

import gc
import io
import json
import re
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import create_environ

from app.api.context import context_of
from app.api.protocols.protocol import HttpAsk
from app.inference.messages import Reply
from app.monitoring.access_log import AccessLog, JsonLines
from models.store import Store
from tests.app.api.asking import FLOWER, JSON, answer, check_reply
from tests.conftest import MakeApp

MADE = re.compile(r"[0-9a-f]{32}")
EVERYWHERE = [
    ("GET", "/"),
    ("GET", "/models"),
    ("GET", "/ready"),
    ("GET", "/metrics"),
    ("GET", "/nothing"),
    ("GET", "/docs/"),
    ("GET", "/openapi.json"),
    ("POST", "/predict"),
    ("POST", "/models/nothing/predict"),
    ("DELETE", "/predict"),
    ("OPTIONS", "/predict"),
    ("HEAD", "/health"),
]


@pytest.mark.parametrize(("method", "path"), EVERYWHERE)
def test_every_reply_has_an_id(client: FlaskClient, method: str, path: str) -> None:
    one, other = client.open(path, method=method), client.open(path, method=method)
    ids = [reply.headers["X-Request-Id"] for reply in (one, other)]
    assert all(MADE.fullmatch(made) for made in ids)
    assert ids[0] != ids[1]
    echoed = client.open(path, method=method, headers={"X-Request-Id": "from-client.1"})
    assert echoed.headers["X-Request-Id"] == "from-client.1"


@pytest.mark.parametrize(
    "given", ["a", "A-b_c.d~e", "x" * 128, "0af7651916cd43dd8448eb211c80319c", "YWJj+/=="]
)
def test_a_harmless_id_is_echoed(client: FlaskClient, given: str) -> None:
    reply = client.post("/predict", data=b"{", headers={**JSON, "X-Request-Id": given})
    assert reply.headers["X-Request-Id"] == given
    assert reply.get_json()["request_id"] == given


@pytest.mark.parametrize(
    "given",
    [
        "",
        " ",
        "a b",
        "x" * 129,
        "<script>",
        'a"b',
        "a,b",
        "a;b",
        "{{7*7}}",
        "a%0d%0ab",
        "caf\xe9",
        "$(id)",
        "a\tb",
        "a\\nb",
        "\x1b[31m",
    ],
)
def test_an_id_that_could_do_harm_in_a_log_or_header_is_replaced(client: FlaskClient, given: str) -> None:
    reply = client.get("/nothing", environ_overrides={"HTTP_X_REQUEST_ID": given})
    assert MADE.fullmatch(reply.headers["X-Request-Id"])
    assert reply.get_json()["request_id"] == reply.headers["X-Request-Id"]


@pytest.mark.parametrize(("method", "path"), [entry for entry in EVERYWHERE if entry[1] != "/docs/"])
def test_every_reply_has_the_headers_against_misuse(client: FlaskClient, method: str, path: str) -> None:
    check_reply(client.open(path, method=method))


def test_the_headers_against_misuse_are_the_recommended_ones(client: FlaskClient) -> None:
    headers = client.get("/nothing").headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"


def test_a_prediction_leaves_nothing_to_the_garbage_collector(toy_app: Flask) -> None:
    """The body of a request is freed with the request, without a garbage collection."""
    body = json.dumps({"features": FLOWER}).encode()

    def ask() -> None:
        environ = create_environ("/predict", method="POST", data=body, content_type="application/json")
        assert json.loads(b"".join(toy_app.wsgi_app(environ, lambda *started: None)))  # type: ignore[arg-type, return-value]

    def kept() -> int:
        return sum(type(thing) is HttpAsk for thing in gc.get_objects())

    ask()
    gc.collect()
    gc.disable()
    try:
        before = kept()
        ask()
        assert kept() == before
    finally:
        gc.enable()


# -- the access log ---------------------------------------------------------------------------------------------


class Lines(JsonLines):
    """An access log in memory."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        super().__init__(self.stream)

    def getvalue(self) -> str:
        self.flush()
        return self.stream.getvalue()


@pytest.fixture
def lines(toy_app: Flask) -> Iterator[Lines]:
    """The lines that are logged during a test."""
    context = context_of(toy_app)
    lines, kept = Lines(), context.on_reply
    context.on_reply = [*kept, lines.replied]
    yield lines
    context.on_reply = kept


def logged(lines: Lines) -> list[dict[str, object]]:
    return [json.loads(line) for line in lines.getvalue().splitlines()]


def test_a_prediction_is_one_line_with_model_version_status_and_times(
    client: FlaskClient, lines: Lines
) -> None:
    reply = client.post("/v2/predict", json={"features": FLOWER}, headers={"X-Request-Id": "req-1"})
    answer(reply)
    (line,) = logged(lines)
    assert line["request_id"] == "req-1"
    assert (line["model"], line["version"], line["status"]) == ("iris", "2", 200)
    assert (line["method"], line["path"]) == ("POST", "/v2/predict")
    assert line["bytes"] == len(reply.get_data())
    assert isinstance(line["duration_ms"], float) and line["duration_ms"] > 0
    assert isinstance(line["timing_ms"], dict)
    assert set(line["timing_ms"]) == {"parse", "queue", "predict", "encode"}
    assert "time" in line


def test_what_was_refused_is_logged_with_its_status(client: FlaskClient, lines: Lines) -> None:
    client.post("/predict", json={"features": ["x"]})
    client.get("/nothing")
    client.post("/models/moody/predict", json={"mood": "raise"})
    assert [(line["status"], line["model"]) for line in logged(lines)] == [
        (422, "iris"),
        (404, None),
        (500, "moody"),
    ]


def test_no_value_of_a_request_is_in_the_access_log(client: FlaskClient, lines: Lines) -> None:
    number, text = 73195.4286, "marker-8c1f"
    for body in (
        {"features": [number] * 4},
        {"features": [text, number, 1, 1]},
        {"sepal_length": number, text: number},
        {"inputs": [[number] * 4]},
        {text: text},
    ):
        for path in ("/predict", "/predict/batch", "/models/shop/predict", "/models/nothing/predict"):
            client.post(f"{path}?value={text}", json=body, headers={"X-Note": text, "User-Agent": text})
    client.post("/models/moody/predict", json={"mood": "raise"})
    client.post("/predict", data=f'{{"features": [{number}, "{text}"'.encode(), headers=JSON)
    assert len(logged(lines)) == 22
    for secret in ("73195", text, "customers.csv"):
        assert secret not in lines.getvalue()


def test_a_hostile_path_or_method_stays_within_its_line(client: FlaskClient, lines: Lines) -> None:
    client.open("/x%0a%7b%22level%22:%22ERROR%22%7d%1b[31m" + "y" * 5000, method="M" * 500)
    (line,) = logged(lines)
    assert lines.getvalue().count("\n") == 1
    assert "\x1b" not in lines.getvalue()
    assert len(lines.getvalue()) < 1000
    assert str(line["path"]).startswith("/x\n{")


def test_the_access_log_can_be_switched_off(
    make_app: MakeApp, toy_store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    for on in (True, False):
        app = make_app(toy_store, access_log=on)
        answer(app.test_client().get("/health", headers={"X-Request-Id": f"logged-{on}"}))
        (log,) = (observer for observer in context_of(app).observers if isinstance(observer, AccessLog))
        log.flush()
    said = capsys.readouterr().out
    assert "logged-True" in said
    assert "logged-False" not in said


def test_lines_that_nobody_takes_are_counted_instead_of_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.monitoring.access_log.MAX_WAITING", 3)
    lines = Lines()
    for i in range(5):
        lines.replied(Reply(0, 0.001, str(i), "GET", "/", 200, None, "", 0))
    written = logged(lines)
    assert [line.get("request_id") for line in written] == ["0", "1", "2", None]
    assert written[-1]["message"] == "2 lines were dropped"
    assert written[0]["time"] == "1970-01-01T00:00:00.000000+00:00"


# -- metrics ----------------------------------------------------------------------------------------------------


def test_requests_are_counted_by_model_version_and_status(make_app: MakeApp, toy_store: Store) -> None:
    client = make_app(toy_store).test_client()
    for _ in range(3):
        client.post("/v2/predict", json={"features": FLOWER})
    client.post("/predict", json={"features": []})
    client.post("/models/made-up/predict", json={})
    client.post("/models/another/predict", json={})
    client.get("/nothing")
    page = client.get("/metrics").get_data(as_text=True)
    assert 'plumbline_requests_total{model="iris",status="200",version="2"} 3.0' in page
    assert 'plumbline_requests_total{model="iris",status="422",version="1"} 1.0' in page
    assert 'plumbline_requests_total{model="none",status="404",version="none"} 3.0' in page
    assert "made-up" not in page
    assert (
        'plumbline_request_duration_seconds_bucket{le="0.0005",model="iris",status="200",version="2"}' in page
    )


def test_metrics_can_be_switched_off(make_app: MakeApp, toy_store: Store) -> None:
    client = make_app(toy_store, metrics=False).test_client()
    assert client.get("/metrics").status_code == 404
    assert "metrics" not in answer(client.get("/"))["links"]
    assert answer(client.post("/predict", json={"features": FLOWER}))
