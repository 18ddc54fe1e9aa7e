"""The documentation page at /docs/ and its document /openapi.json: flasgger serves them, Swagger UI draws them.

Everything that the page loads comes from this server, by relative addresses, under a policy that allows nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from flasgger import Swagger
from flasgger.base import APIDocsView, APISpecsView
from flask import Blueprint, Flask, Response, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from app.api.context import context
from app.api.documented import SERVICE, documented
from app.api.openapi import OPENAPI, build_document
from app.catalog.routing import Routing

HERE = Path(__file__).parent

#: For the page alone. Scripts, styles and the calls of *Try it out* are this server's own.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def init_docs(app: Flask) -> None:
    """Add the page and the document, unless the settings say no. The document is made at the first request for it."""
    if context(app).settings.docs:
        Docs(app, config=_config(), merge=True)


class Docs(Swagger):
    """flasgger with a document that it did not have to look for, and without what it adds to every application:
    a hook on each response, a wrapper of ``add_url_rule``, and routes for OAuth and for its own old address."""

    template: dict[str, Any] | None

    def init_app(self, app: Flask, decorators: Any = None) -> None:
        """Register the routes."""
        self._app = app
        self._engine = context(app).engine
        self._lock = self._engine.concurrency.lock()
        self._document: orjson.Fragment | None = None
        self._routing: Routing | None = None
        super().init_app(app, decorators)
        vars(app).pop("add_url_rule", None)

    def get_apispecs(self, endpoint: str = "openapi") -> dict[str, Any]:
        """A new document."""
        self.template = build_document(self._app, self._engine.routing, self._engine.concurrency.pause)
        document: dict[str, Any] = super().get_apispecs(endpoint)
        self.template = None
        self.apispecs.clear()
        return document

    def document(self) -> orjson.Fragment:
        """The document as JSON, made once for a routing, whoever asks first: that is a tenth of its size in objects."""
        routing = self._engine.routing
        if self._document is None or self._routing is not routing:
            with self._lock:
                if self._document is None or self._routing is not routing:
                    self._document = orjson.Fragment(orjson.dumps(self.get_apispecs()))
                    self._routing = routing
        return self._document

    def add_headers(self, app: Flask) -> None:
        """None: the application has hooks of its own."""

    def register_views(self, app: Flask) -> None:
        """The page, its assets and the document."""
        config = self.config
        blueprint = Blueprint(
            "flasgger",
            __name__,
            static_folder=config["static_folder"],
            static_url_path=config["static_url_path"],
            template_folder=config["template_folder"],
        )
        page = config["specs_route"]
        html = documented("docs", "This page", SERVICE, media_types=("text/html",), success="The page")
        view = APIDocsView.as_view("apidocs", view_args={"config": config})
        blueprint.add_url_rule(page, "apidocs", html(view))
        blueprint.add_url_rule(page.rstrip("/"), "to_page", _to_page)
        (spec,) = config["specs"]
        view = APISpecsView.as_view(spec["endpoint"], loader=self.document)
        json = documented("openapi", "This document", SERVICE)
        blueprint.add_url_rule(spec["route"], spec["endpoint"], json(view))
        blueprint.after_request(_with_policy)
        app.register_blueprint(blueprint)


def _config() -> dict[str, Any]:
    return {
        "title": "Plumbline",
        "openapi": OPENAPI,
        "headers": [],
        "specs": [
            {
                "endpoint": "openapi",
                "route": "/openapi.json",
                "rule_filter": lambda rule: False,  # it reads no docstrings
                "model_filter": lambda tag: False,
            }
        ],
        "specs_route": "/docs/",
        "static_folder": str(HERE / "static"),
        "static_url_path": "/docs/assets",
        "template_folder": str(HERE / "templates"),
    }


def _to_page() -> AnyResponse:
    """A relative redirect, which holds behind a proxy that adds a prefix."""
    return redirect("docs/", 308)


def _with_policy(response: Response) -> Response:
    if request.endpoint == "flasgger.apidocs":
        response.headers["Content-Security-Policy"] = PAGE_POLICY
    return response
