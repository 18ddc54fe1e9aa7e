"""Tests of error replies: one shape, the right status, and no internal details."""

from __future__ import annotations

import logging

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.api.context import context_of
from app.api.errors import STATUS
from models import errors
from models.store import Store
from tests.app.api.asking import FLOWER, check_reply, problem
from tests.conftest import MakeApp
from tests.toy_store import SECRET

TRUSTED = ("good.example", ".sub.example")
GETS = [
    "/",
    "/models",
    "/models/iris",
    "/models/iris/versions/1",
    "/models/iris/ready",
    "/health",
    "/healthz",
]
GETS += ["/livez", "/ready", "/readyz", "/version", "/metrics"]
POSTS = [
    f"{prefix}/predict{batch}"
    for prefix in ("", "/v1", "/models/iris", "/models/iris/versions/1", "/models/iris/versions/2.0.0")
    for batch in ("", "/batch")
]


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/predict/nothing",
        "/models/iris/nothing",
        "/v1",
        "/vx/predict",
        "/v-1/predict",
        "/v\u0661/predict",
        "/%00",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_route_that_is_not_there_is_404(client: FlaskClient, path: str, method: str) -> None:
    assert "GET /" in problem(client.open(path, method=method), 404)["detail"]


@pytest.mark.parametrize("path", [*GETS[1:], *POSTS])
def test_a_trailing_slash_is_another_route_that_is_not_there(client: FlaskClient, path: str) -> None:
    method = "GET" if path in GETS else "POST"
    problem(
        client.open(f"{path}/", method=method, json={"features": FLOWER} if method == "POST" else None), 404
    )


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE", "BREW"])
def test_another_method_than_post_is_405_and_says_what_is_allowed(
    client: FlaskClient, path: str, method: str
) -> None:
    reply = client.open(path, method=method)
    assert reply.status_code == 405
    check_reply(reply)
    assert set(reply.headers["Allow"].split(", ")) == {"POST", "OPTIONS"}
    if method != "HEAD":
        assert problem(reply, 405)["detail"] == f"{method} is not allowed on this route; use POST"


@pytest.mark.parametrize("path", GETS)
def test_another_method_than_get_is_405_and_says_what_is_allowed(client: FlaskClient, path: str) -> None:
    reply = client.post(path, json={})
    assert problem(reply, 405)["detail"] == "POST is not allowed on this route; use GET"
    assert set(reply.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize("path", GETS)
def test_head_is_get_without_its_body(client: FlaskClient, path: str) -> None:
    got, head = client.get(path), client.head(path)
    check_reply(head)
    assert (head.status_code, head.content_type, head.get_data()) == (got.status_code, got.content_type, b"")


@pytest.mark.parametrize("path", [*GETS, *POSTS])
def test_options_lists_the_methods(client: FlaskClient, path: str) -> None:
    reply = client.options(path)
    check_reply(reply)
    assert (reply.status_code, reply.get_data()) == (200, b"")
    expected = {"GET", "HEAD", "OPTIONS"} if path in GETS else {"POST", "OPTIONS"}
    assert set(reply.headers["Allow"].split(", ")) == expected


@pytest.mark.parametrize("path", ["/", "/models", "/nothing", "/predict", "/version", "/openapi.json"])
@pytest.mark.parametrize(
    "host", ["evil.example", "good.example.evil.example", "good.example:80@evil", "", "a b"]
)
def test_a_request_for_another_host_is_400(app_with: MakeApp, path: str, host: str) -> None:
    client = app_with(trusted_hosts=TRUSTED).test_client()
    payload = problem(client.get(path, headers={"Host": host}), 400)
    assert "host" in payload["detail"].lower()


@pytest.mark.parametrize("host", ["good.example", "good.example:8000", "GOOD.example", "deep.sub.example"])
def test_a_request_for_a_trusted_host_is_answered(app_with: MakeApp, host: str) -> None:
    client = app_with(trusted_hosts=TRUSTED).test_client()
    assert client.get("/models", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("path", ["/health", "/healthz", "/livez", "/ready", "/readyz", "/metrics"])
def test_probes_and_scrapers_may_come_by_address(app_with: MakeApp, path: str) -> None:
    client = app_with(trusted_hosts=TRUSTED).test_client()
    assert client.get(path, headers={"Host": "10.1.2.3:8000"}).status_code == 200


def test_forwarding_headers_count_only_with_a_stated_number_of_proxies(app_with: MakeApp) -> None:
    for hops, status in ((0, 400), (1, 200)):
        client = app_with(trusted_hosts=TRUSTED, proxy_hops=hops).test_client()
        headers = {"Host": "evil.example", "X-Forwarded-Host": "good.example"}
        assert client.get("/models", headers=headers).status_code == status


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.ModelNotFound("a", ["b"]), 404),
        (errors.VersionNotFound("a", "9", ["1"]), 404),
        (errors.InvalidName("no name"), 404),
        (errors.Conflict("it is stable"), 409),
        (errors.InputError([errors.Fault(("a",), "missing")]), 422),
        (errors.PredictError(SECRET), 500),
        (errors.PublishError(SECRET), 500),
        (errors.PlumblineError(SECRET), 500),
        (ValueError(SECRET), 500),
        (RecursionError(SECRET), 500),
        (errors.LoadError("cannot be loaded"), 503),
        (errors.LibraryMismatch("other versions"), 503),
        (errors.NotReady("not ready"), 503),
        (errors.StoreUnavailable("the disk is gone"), 503),
    ],
)
def test_every_error_of_the_tree_has_its_status(
    make_app: MakeApp, toy_store: Store, error: Exception, status: int
) -> None:
    app = make_app(toy_store, start=False)

    @app.get("/raise")
    def fail() -> str:
        raise error

    reply = app.test_client().get("/raise")
    problem(reply, status)
    assert SECRET not in reply.get_data(as_text=True)


def test_every_error_that_has_a_status_of_its_own_is_in_the_table() -> None:
    assert errors.PlumblineError not in STATUS  # so that a new error is a 500 until somebody decides
    assert all(issubclass(kind, Exception) for kind in STATUS)


def test_a_failure_is_logged_with_its_request_id_and_told_only_to_the_log(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    reply = client.post("/models/moody/predict", json={"mood": "raise"}, headers={"X-Request-Id": "req-17"})
    problem(reply, 500)
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert "req-17" in line and SECRET in line


def test_a_very_long_method_is_not_repeated_whole(client: FlaskClient) -> None:
    assert len(problem(client.open("/predict", method="M" * 3000), 405)["detail"]) < 100


def test_an_error_of_ours_is_logged_with_its_traceback(
    make_app: MakeApp, toy_store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(toy_store)
    app.before_request(lambda: 1 / 0)
    problem(app.test_client().post("/models/moody/predict", json={"mood": "fine"}), 500)
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.exc_info


def test_a_client_s_mistake_is_no_error_in_the_log(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    problem(client.post("/predict", json={"features": ["x"]}), 422)
    problem(client.post("/predict", data=b"{", content_type="application/json"), 400)
    problem(client.get("/nothing"), 404)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_failures_leave_nothing_behind(toy_app: Flask) -> None:
    """An error page does not keep its request, so the number of requests in flight returns to 0."""
    client = toy_app.test_client()
    for _ in range(5):
        client.post("/models/moody/predict", json={"mood": "raise"})
        client.get("/nothing")
    page = context_of(toy_app).metrics.page()
    assert "plumbline_requests_in_flight 0.0" in page
