"""flasgger, reduced to completing a given document and showing its page.

The first request for the page or the document imports this module (``app.api.docs``). flasgger's JSON Schema
validator and parsers take 4 MiB of memory, which no prediction needs.
"""

from __future__ import annotations

from typing import Any

from flasgger import Swagger
from flasgger.base import APIDocsView
from flask import Flask


class Flasgger(Swagger):
    """flasgger without its changes to the application.

    ``init_app`` is never called: it adds a hook of each response, a wrapper of ``add_url_rule``, and routes.
    """

    template: dict[str, Any] | None

    def __init__(self, app: Flask, config: dict[str, Any]) -> None:
        super().__init__(config=config, merge=True)
        self.app = app
        self.load_config(app)

    def complete(self, document: dict[str, Any], endpoint: str) -> dict[str, Any]:
        """Return the document with flasgger's additions. Raises RuntimeError for an unknown endpoint."""
        self.template = document
        completed: dict[str, Any] = self.get_apispecs(endpoint)
        self.template = None
        self.apispecs.clear()
        return completed

    def page(self) -> Any:
        """Return the page, which loads the document."""
        return APIDocsView(view_args={"config": self.config}).get()
