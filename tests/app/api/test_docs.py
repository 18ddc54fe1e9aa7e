"""Tests of the page at /docs/: all files come from this server, and flasgger changes no other route."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from flask import Flask
from flask.testing import FlaskClient

import app.api

STATIC = Path(app.api.__file__).parent / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Page(HTMLParser):
    """The references of a page, and its inline scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.inline: list[str] = []
        self._tag = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag = tag
        for name, value in attrs:
            if name == "style" or name.startswith("on"):
                self.inline.append(f"{tag} {name}")
            if name in ("src", "href"):
                (self.links if tag == "a" else self.loads).append(value or "")

    def handle_data(self, data: str) -> None:
        if self._tag in ("script", "style") and data.strip():
            self.inline.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._tag = ""


@pytest.fixture
def quiet(client: FlaskClient) -> Iterator[FlaskClient]:
    """A client that closes the files that are sent to it."""
    opened = []

    def opening(*args: Any, **kwargs: Any) -> Any:
        opened.append(FlaskClient.open(client, *args, **kwargs))
        return opened[-1]

    client.open = opening  # type: ignore[method-assign]
    yield client
    for reply in opened:
        reply.close()


def test_everything_that_the_page_loads_is_served_here(quiet: FlaskClient) -> None:
    reply = quiet.get("/docs/")
    assert reply.status_code == 200
    assert reply.content_type == "text/html; charset=utf-8"
    page = Page(reply.text)
    assert page.inline == []
    assert len(page.loads) == 6
    for address in (*page.loads, *page.links):
        assert not re.match(r"/|\w+:", address), "an address that a prefix would break, or of another host"
        assert quiet.get(urljoin("/docs/", address)).status_code == 200
    assert not re.search(r"https?:|//\w", reply.text)


def test_own_assets_name_no_other_host() -> None:
    for path in (STATIC / "docs").iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://", text), path.name


def test_swagger_ui_is_vendored_unmodified() -> None:
    folder = STATIC / "swagger-ui"
    listed = re.findall(r"^([0-9a-f]{64})  (\S+)$", (folder / "README.md").read_text(), re.MULTILINE)
    assert {name for _, name in listed} == {path.name for path in folder.iterdir()} - {"README.md"}
    for digest, name in listed:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name


def test_the_page_has_a_policy_of_its_own(quiet: FlaskClient) -> None:
    assert quiet.get("/docs/").headers["Content-Security-Policy"] == POLICY
    for path in ("/", "/openapi.json", "/docs", "/docs/assets/docs/init.js", "/docs/nothing", "/models"):
        assert "script-src" not in quiet.get(path).headers["Content-Security-Policy"], path


@pytest.mark.parametrize("root", ["", "/behind/a/proxy"])
def test_docs_without_a_slash_leads_to_the_page_under_any_prefix(client: FlaskClient, root: str) -> None:
    reply = client.get("/docs?url=other", environ_overrides={"SCRIPT_NAME": root})
    assert reply.status_code == 308
    assert urljoin(f"{root}/docs", reply.headers["Location"]) == f"{root}/docs/"


def test_nothing_is_there_when_docs_are_off(make_app: Any, tmp_path: Path) -> None:
    without = make_app(tmp_path, docs=False)
    for path in ("/docs", "/docs/", "/openapi.json", "/docs/assets/docs/init.js"):
        reply = without.test_client().get(path)
        assert (reply.status_code, reply.content_type) == (404, "application/problem+json")
    assert "docs" not in without.test_client().get("/").json["links"]


def test_flasgger_adds_no_routes_hooks_or_wrappers_of_its_own(toy_app: Flask, client: FlaskClient) -> None:
    for path in (
        "/apidocs/",
        "/apidocs/index.html",
        "/oauth2-redirect.html",
        "/flasgger_static/lib/jquery.min.js",
    ):
        assert client.get(path).status_code == 404
    hooks = [hook for of_scope in toy_app.after_request_funcs.values() for hook in of_scope]
    assert not [hook for hook in hooks if hook.__module__.startswith("flasgger")]
    assert "add_url_rule" not in vars(toy_app)


def test_errors_stay_problems(client: FlaskClient) -> None:
    for reply, status in ((client.post("/docs/"), 405), (client.get("/docs/assets/../../docs.py"), 404)):
        assert (reply.status_code, reply.content_type) == (status, "application/problem+json")


def test_docstrings_of_views_are_not_read(make_app: Any, tmp_path: Path) -> None:
    def view() -> str:
        """A heading
        ---
        {not: [yaml
        """
        return ""

    made = make_app(tmp_path)
    made.add_url_rule("/hostile", view_func=view)
    document = made.test_client().get("/openapi.json").json
    assert "/hostile" not in document["paths"]


def test_the_document_is_made_once_whoever_asks_first(make_app: Any, tmp_path: Path) -> None:
    made = make_app(tmp_path)
    found: list[Any] = []

    def ask() -> None:
        with made.app_context():
            found.append(made.swag.document())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(document is found[0] for document in found)


def test_the_document_can_be_written_to_a_file(make_app: Any, tmp_path: Path) -> None:
    """flasgger's own command works, although this project does not document it."""
    from flasgger.commands import generate_api_schema

    made = make_app(tmp_path / "store")
    result = made.test_cli_runner().invoke(generate_api_schema, ["-f", str(tmp_path / "openapi.json")])
    assert result.exit_code == 0, result.output
    written = made.json.loads((tmp_path / "openapi.json").read_text())
    assert written == made.test_client().get("/openapi.json").json
