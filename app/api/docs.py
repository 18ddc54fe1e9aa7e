"""The page /docs/ and its document /openapi.json: flasgger serves them, Swagger UI draws the page.

Everything that the page loads comes from this server, by relative addresses, under a policy that allows
nothing else.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from flask import Blueprint, Flask, Response, jsonify, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from app.api.context import context_of
from app.api.documented import SERVICE, documented
from app.api.openapi import OPENAPI, build_document
from app.catalog.routing import Routing

if TYPE_CHECKING:
    from app.api.swagger import Flasgger

HERE = Path(__file__).parent

#: For the page alone. Scripts, styles and the calls of *Try it out* are this server's own.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def init_docs(app: Flask) -> None:
    """Add the page and the document if the settings ask for them; the first request builds the document."""
    if context_of(app).settings.docs:
        vars(app)["swag"] = Docs(app)  # where flasgger's own command looks for it


class Docs:
    """The routes of the page, its assets and the document.

    flasgger answers for the page and the document; the first request for one of them imports it.
    """

    def __init__(self, app: Flask) -> None:
        """Register the routes."""
        self.config = _config()
        self._app = app
        self._engine = context_of(app).engine
        self._lock = self._engine.concurrency.lock()
        self._flasgger: Flasgger | None = None
        self._document: orjson.Fragment | None = None
        self._routing: Routing | None = None
        self._register(app)

    def get_apispecs(self, endpoint: str = "openapi") -> dict[str, Any]:
        """A new document; raises RuntimeError for another endpoint. flasgger's own command calls it."""
        document = build_document(self._app, self._engine.routing, self._engine.concurrency.pause)
        return self._completing().complete(document, endpoint)

    def document(self) -> orjson.Fragment:
        """The document as JSON text, a tenth of the size of its objects; built once for each routing."""
        routing = self._engine.routing
        if self._document is None or self._routing is not routing:
            with self._lock:
                if self._document is None or self._routing is not routing:
                    self._document = orjson.Fragment(orjson.dumps(self.get_apispecs()))
                    self._routing = routing
        return self._document

    def _completing(self) -> Flasgger:
        """flasgger, imported on a native thread: that takes 0.2 s, in which other requests are answered."""
        if self._flasgger is None:
            concurrency = self._engine.concurrency
            swagger = concurrency.in_background(partial(import_module, "app.api.swagger"), lambda: True)
            self._flasgger = swagger.Flasgger(self._app, self.config)
        return self._flasgger

    def _register(self, app: Flask) -> None:
        config = self.config
        blueprint = Blueprint(
            "flasgger",
            __name__,
            static_folder=config["static_folder"],
            static_url_path=config["static_url_path"],
            template_folder=config["template_folder"],
        )
        (spec,), page = config["specs"], config["specs_route"]

        @documented("docs", "This page", SERVICE, media_types=("text/html",), success="The page")
        def show_page() -> Any:
            return self._completing().page()

        @documented("openapi", "This document", SERVICE)
        def show_document() -> Any:
            return jsonify(self.document())

        blueprint.add_url_rule(page, "apidocs", show_page)
        blueprint.add_url_rule(page.rstrip("/"), "to_page", _to_page)
        blueprint.add_url_rule(spec["route"], spec["endpoint"], show_document)
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
