"""Tests of links behind a proxy with a prefix and below a mount, and of doubled slashes."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urljoin

import pytest
from flask import Flask
from flask.testing import FlaskClient

from models.store import Store
from tests.app.api.asking import FLOWER, answer, problem
from tests.conftest import MakeApp

BROWSER = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def behind(make_app: MakeApp, toy_store: Store) -> Flask:
    """Build an application that trusts one proxy."""
    return make_app(toy_store, proxy_hops=1)


def ask(app: Flask, way: str, prefix: str, path: str, **more: Any) -> Any:
    """Send a request as a proxy that reports its prefix, or as a server with a mount."""
    headers = {**more.pop("headers", {}), **({"X-Forwarded-Prefix": prefix} if way == "proxy" else {})}
    mounted = {"SCRIPT_NAME": prefix} if way == "mount" else {}
    return app.test_client().open(path, headers=headers, environ_overrides=mounted, **more)


@pytest.mark.parametrize("way", ["proxy", "mount"])
@pytest.mark.parametrize("prefix", ["/ml", "/ml/", "/a/b.c", "/with%20blank", "/"])
def test_the_links_of_the_index_begin_with_the_prefix(behind: Flask, way: str, prefix: str) -> None:
    root = prefix.rstrip("/")
    body = answer(ask(behind, way, prefix, "/"))
    assert body["links"]["models"] == f"{root}/models"
    assert body["predict"]["iris"] == f"{root}/models/iris/predict"
    for link in body["links"].values():
        assert link.startswith(f"{root}/")
        with ask(behind, way, prefix, link.removeprefix(root)) as reply:
            assert reply.status_code == 200, link
    route = body["predict"]["iris"].removeprefix(root)
    assert answer(ask(behind, way, prefix, route, method="POST", json={"features": FLOWER}))


@pytest.mark.parametrize("way", ["proxy", "mount"])
def test_so_do_those_of_the_page(behind: Flask, way: str) -> None:
    page = ask(behind, way, "/ml", "/", headers=BROWSER).get_data(as_text=True)
    links = re.findall(r'href="([^"]+)"', page)
    assert "/ml/docs/" in links and "/ml/models/iris" in links
    assert all(link.startswith("/ml/") for link in links)
    assert "POST /ml/models/iris/predict" in page


def test_without_a_known_prefix_the_page_has_relative_links(client: FlaskClient) -> None:
    """Relative links stay valid behind a proxy that does not report its prefix."""
    page = client.get("/", headers=BROWSER).get_data(as_text=True)
    assert {urljoin("/unknown/", link) for link in re.findall(r'href="([^"]+)"', page)} >= {
        "/unknown/models",
        "/unknown/models/iris",
    }


def test_a_route_that_is_not_there_is_told_where_the_index_is(behind: Flask) -> None:
    assert problem(ask(behind, "proxy", "/ml", "/nothing"), 404)["detail"] == (
        "no such route; GET /ml/ lists the available routes"
    )


@pytest.mark.parametrize("prefix", ["//evil.example", "/\\evil.example", '/"><script>', "/ml?x=1#y", "/é"])
def test_a_prefix_stays_a_path(behind: Flask, prefix: str) -> None:
    links = answer(ask(behind, "proxy", prefix, "/"))["links"]
    assert re.fullmatch(r"(/[\w.%=-]+)?/models", links["models"], re.ASCII), links["models"]
    page = ask(behind, "proxy", prefix, "/", headers=BROWSER).get_data(as_text=True)
    assert "<script" not in page


def test_a_prefix_counts_from_a_trusted_proxy_only(client: FlaskClient) -> None:
    body = answer(client.get("/", headers={"X-Forwarded-Prefix": "/evil"}))
    assert body["links"]["models"] == "/models"


@pytest.mark.parametrize("path", ["//", "//admin/workers", "//models", "///health", "//predict", "//docs/"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_doubled_slash_is_another_path(app_with: MakeApp, path: str, method: str) -> None:
    """A proxy that restricts /admin forwards //admin."""
    app = app_with(admin_token="t" * 32)
    for _ in range(2):
        app.test_client().open(path.lstrip("/") or "/", method=method)
        problem(app.test_client().open("/", environ_overrides={"PATH_INFO": path}, method=method), 404)
