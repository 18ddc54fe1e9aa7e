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

FOLDER = Path(__file__).parent

#: The Content-Security-Policy of the page. Its scripts, styles and calls of *Try it out* stay on this server.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def init_docs(app: Flask) -> None:
    """Add the page and the document if the settings ask for them; the first request builds the document."""
    if context_of(app).settings.docs:
        vars(app)["swag"] = Docs(app)  # the attribute that flasgger's own command reads


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
        """Build the document; flasgger's command calls it too. Raises RuntimeError for another endpoint."""
        document = build_document(self._app, self._engine.routing, self._engine.concurrency.pause)
        return self._completing().complete(document, endpoint)

    def document(self) -> orjson.Fragment:
        """Return the document as JSON text, built once for each routing.

        The text takes a tenth of the memory of the objects.
        """
        routing = self._engine.routing
        if self._document is None or self._routing is not routing:
            with self._lock:
                if self._document is None or self._routing is not routing:
                    self._document = orjson.Fragment(orjson.dumps(self.get_apispecs()))
                    self._routing = routing
        return self._document

    def _completing(self) -> Flasgger:
        """Return flasgger, imported on a native thread: that takes 0.2 s, in which other requests run."""
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
                "rule_filter": lambda rule: False,  # so that flasgger reads no docstrings
                "model_filter": lambda tag: False,
            }
        ],
        "specs_route": "/docs/",
        "static_folder": str(FOLDER / "static"),
        "static_url_path": "/docs/assets",
        "template_folder": str(FOLDER / "templates"),
    }


def _to_page() -> AnyResponse:
    """Redirect to a relative address, which stays valid behind a proxy that adds a prefix."""
    return redirect("docs/", 308)


def _with_policy(response: Response) -> Response:
    if request.endpoint == "flasgger.apidocs":
        response.headers["Content-Security-Policy"] = PAGE_POLICY
    return response
