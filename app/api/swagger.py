"""flasgger as it is used here: it completes and shows a document that it did not have to look for.

Imported at the first request for the page or the document (``app.api.docs``): its JSON Schema validator and its parsers
take 4 MiB of a process, and no prediction needs them.
"""

from __future__ import annotations

from typing import Any

from flasgger import Swagger
from flasgger.base import APIDocsView
from flask import Flask


class Flasgger(Swagger):
    """flasgger without what it adds to every application: a hook on each response, a wrapper of ``add_url_rule``, and
    routes of its own. So ``init_app`` is never called."""

    template: dict[str, Any] | None

    def __init__(self, app: Flask, config: dict[str, Any]) -> None:
        super().__init__(config=config, merge=True)
        self.app = app
        self.load_config(app)

    def complete(self, document: dict[str, Any], endpoint: str) -> dict[str, Any]:
        """The document with what flasgger has to say; raises RuntimeError for an endpoint that is not configured."""
        self.template = document
        completed: dict[str, Any] = self.get_apispecs(endpoint)
        self.template = None
        self.apispecs.clear()
        return completed

    def page(self) -> Any:
        """The page, which loads the document."""
        return APIDocsView(view_args={"config": self.config}).get()
