"""The index of the server: links as JSON for programs, a small page for browsers."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from flask import Blueprint, Response, make_response, render_template

from app.api.catalog import summary
from app.api.context import this_context
from app.api.documented import JSON, SERVICE, documented
from app.api.json_provider import json_reply
from app.api.request import this_request
from app.config import VERSION
from schemas.service import IndexSchema

blueprint = Blueprint("index", __name__)

STYLE = (Path(__file__).parent / "templates" / "index.css").read_text()
_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

#: The Content-Security-Policy of the page, which has no script and no files. Its style is allowed by digest.
POLICY = f"default-src 'none'; style-src 'sha256-{_DIGEST}'; frame-ancestors 'none'"


@blueprint.get("/")
@documented(
    "index",
    "Links to all routes and models; HTML for browsers",
    SERVICE,
    IndexSchema,
    media_types=(JSON, "text/html"),
)
def index() -> Response:
    """Return links to the routes and models, below the path prefix that a proxy or a mount removes."""
    context = this_context()
    paths = {"models": "/models", "health": "/health", "ready": "/ready", "version": "/version"}
    paths |= {"metrics": "/metrics"} if context.settings.metrics else {}
    paths |= {"docs": "/docs/", "openapi": "/openapi.json"} if context.settings.docs else {}
    request = this_request()
    root = request.prefix
    links = {name: root + path for name, path in paths.items()}
    models = context.engine.snapshot.models
    if request.accept_mimetypes.best_match(["application/json", "text/html"]) != "text/html":
        predict = {name: f"{root}/models/{name}/predict" for name in models}
        return json_reply({"name": "plumbline", "version": VERSION, "links": links, "predict": predict})
    summaries = [summary(model) for model in models.values()]
    page = make_response(
        render_template("index.html", style=STYLE, paths=paths, models=summaries, version=VERSION, root=root)
    )
    page.headers["Content-Security-Policy"] = POLICY
    return page
