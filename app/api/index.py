"""What there is, at a glance: links for a program, a small page for a browser."""

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

#: The page has no script and no file of its own; its one style is allowed by its digest.
POLICY = f"default-src 'none'; style-src 'sha256-{_DIGEST}'; frame-ancestors 'none'"


@blueprint.get("/")
@documented(
    "index",
    "What is there? HTML for a browser that asks for it",
    SERVICE,
    IndexSchema,
    media_types=(JSON, "text/html"),
)
def index() -> Response:
    """Links to what there is, and every model, below the prefix that a proxy or a mount takes away."""
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
    shown = [summary(model) for model in models.values()]
    page = make_response(
        render_template("index.html", style=STYLE, paths=paths, models=shown, version=VERSION, root=root)
    )
    page.headers["Content-Security-Policy"] = POLICY
    return page
