"""A reader opens /docs/ in a real browser, tries an operation out, and sees what the model answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Locator
from werkzeug.serving import WSGIRequestHandler, make_server

from models.store import Store
from tests.browser.conftest import Tab
from tests.end_to_end.server import Server

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(toy_store: Store) -> Iterator[Server]:
    """A real gunicorn with the toy models."""
    with Server(toy_store.path) as running:
        yield running


def operation(tab: Tab, tag: str, path: str) -> Locator:
    """The block of one operation, opened."""
    tab.page.locator(".opblock").first.wait_for()
    block = tab.page.locator(f'.opblock:has([data-path="{path}"])')
    if not block.count():
        tab.page.locator(f'.opblock-tag[data-tag="{tag}"]').click()
    block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Try it out").wait_for()
    return block


def execute(block: Locator) -> Any:
    """The JSON that the server answers to the example that is filled in."""
    block.get_by_role("button", name="Try it out").click()
    block.get_by_role("button", name="Execute").click()
    answer = block.locator(".live-responses-table .response")
    answer.wait_for()
    assert answer.locator(".response-col_status").inner_text() == "200"
    return json.loads(answer.locator(".highlight-code code").first.inner_text())


def test_the_default_model_is_tried_out(tab: Tab, server: Server) -> None:
    tab.page.goto(server.url + "/docs/")
    block = operation(tab, "iris", "/predict")
    for feature in ("sepal_length", "petal_width"):
        assert block.get_by_role("cell", name=feature, exact=True).is_visible()
    answer = execute(block)
    assert answer["prediction"] == 0
    assert sum(answer["probability"]) == pytest.approx(1.0)
    assert (answer["model"], answer["model_version"]) == ("iris", "1")
    assert tab.page.title() == "Plumbline: API documentation"
    assert server.url + "/predict" in tab.requests
    assert tab.hosts() == {server.url}
    assert tab.said == []


@pytest.mark.parametrize("again", [False, True])
def test_the_default_model_comes_first_and_alone_is_open(tab: Tab, server: Server, again: bool) -> None:
    tab.page.goto(server.url + "/docs/")
    tab.page.locator(".opblock").first.wait_for()
    if again:
        tab.page.reload()
    tab.page.locator(".opblock").first.wait_for()
    tags = tab.page.locator(".opblock-tag")
    assert tags.first.get_attribute("data-tag") == "iris"
    assert [tag.get_attribute("data-is-open") for tag in tags.all()] == ["true"] + ["false"] * (
        tags.count() - 1
    )


@pytest.mark.parametrize("name", ["unnamed", "shop", "forecast", "odd"])
def test_a_model_of_every_kind_answers_its_example(tab: Tab, server: Server, name: str) -> None:
    tab.page.goto(server.url + "/docs/")
    path = f"/models/{name}/predict"
    answer = execute(operation(tab, name, path))
    assert isinstance(answer, list) if name == "forecast" else answer["model"] == name
    assert tab.said == []


@pytest.mark.parametrize("query", ["url", "configUrl"])
def test_another_document_cannot_be_slipped_in(tab: Tab, server: Server, query: str) -> None:
    tab.page.goto(f"{server.url}/docs/?{query}=http://127.0.0.1:9/openapi.json")
    tab.page.locator(".opblock").first.wait_for()
    assert tab.page.locator(".opblock-tag").first.get_attribute("data-tag") == "iris"
    assert tab.hosts() == {server.url}
    assert tab.said == []


def test_it_works_behind_a_proxy_that_takes_a_prefix_away(tab: Tab, toy_app: Flask) -> None:
    with proxied(toy_app.wsgi_app, "/ml/v2") as url:
        tab.page.goto(url + "/docs")
        answer = execute(operation(tab, "iris", "/predict"))
    assert answer["model"] == "iris"
    assert all(request.startswith(url + "/") for request in tab.requests)
    assert tab.said == []


class Silent(WSGIRequestHandler):
    """Logs nothing."""

    def log_request(self, *args: Any) -> None:
        """Nothing."""


class proxied:
    """A server that hides an application behind a prefix, of which the application is told nothing."""

    def __init__(self, wsgi_app: Callable[..., Any], prefix: str) -> None:
        def proxy(environ: dict[str, Any], start_response: Any) -> Any:
            path = environ["PATH_INFO"]
            assert path.startswith(prefix + "/"), path
            return wsgi_app({**environ, "PATH_INFO": path.removeprefix(prefix)}, start_response)

        self._server = make_server("127.0.0.1", 0, proxy, threaded=True, request_handler=Silent)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._url = f"http://127.0.0.1:{self._server.port}{prefix}"

    def __enter__(self) -> str:
        self._thread.start()
        return self._url

    def __exit__(self, *details: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
