"""What the OpenAPI document says about the routes that are not a model's: catalog, readiness, metrics, the document.

Each is a row of a table here, or in ``openapi_admin.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from apispec import APISpec
from marshmallow import Schema

from models.names import NAME_PATTERN, SELECTOR_PATTERN
from schemas.service import (
    ComparisonSchema,
    HealthSchema,
    IndexSchema,
    ModelDetailSchema,
    ModelReadySchema,
    ModelsSchema,
    ReadySchema,
    ReleaseSchema,
    VersionDetailSchema,
)

JSON = "application/json"

#: Model names are lower case, so no model's tag is one of these.
CATALOG_TAG, SERVICE_TAG = "Catalog", "Service"

#: What any body can be refused with.
STATUSES_OF_BODIES = ("400", "408", "413", "415", "422")

_VERSION = {"type": "string", "pattern": SELECTOR_PATTERN, "examples": ["latest"]}
_DESCRIPTIONS = {
    "name": "The model",
    "version": "A number, tag or alias",
    "a": "One version: a number, tag or alias",
    "b": "The other",
}


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. ``schema`` describes its JSON; replies of other ``media_types`` are text.

    also : further statuses, to a component's name or to what is said of the same reply with that status.
    body : what is sent; ``security`` : the scheme by which a client is known.
    """

    path: str
    operation_id: str
    tag: str
    summary: str
    schema: type[Schema] | None = None
    media_types: tuple[str, ...] = (JSON,)
    reply: str = "The answer"
    parameters: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    also: Mapping[str, str] = field(default_factory=dict)
    method: str = "get"
    body: type[Schema] | None = None
    body_required: bool = True
    security: str = ""


_READY = Route(
    "/ready",
    "ready",
    SERVICE_TAG,
    "Should requests be sent here, and what is the state of each model?",
    ReadySchema,
    reply="Every model has been tried and at least one can answer",
    also={
        "503": "Models are still loading, the worker is about to end, or no or a required model cannot answer"
    },
)
_HEALTH = Route("/health", "health", SERVICE_TAG, "Is the process alive?", HealthSchema, reply="It is")

CATALOG = (
    Route("/models", "models", CATALOG_TAG, "Which models are there?", ModelsSchema),
    Route(
        "/models/{name}",
        "models.get",
        CATALOG_TAG,
        "Which versions does a model have?",
        ModelDetailSchema,
        parameters=("name",),
        also={"404": "Problem404"},
    ),
    Route(
        "/models/{name}/versions/{version}",
        "models.version",
        CATALOG_TAG,
        "What is known about a version: features, ranges, example, metrics, speed, libraries?",
        VersionDetailSchema,
        parameters=("name", "version"),
        also={"404": "Problem404", "503": "Problem503"},
    ),
    Route(
        "/models/{name}/compare",
        "models.compare",
        CATALOG_TAG,
        "How do two versions differ, in what they recorded and in their answers to golden rows?",
        ComparisonSchema,
        parameters=("name",),
        query=("a", "b"),
        also={status: f"Problem{status}" for status in ("400", "404", "409", "500", "503")},
    ),
    Route(
        "/models/{name}/ready",
        "models.ready",
        CATALOG_TAG,
        "Can routed requests of a model be answered?",
        ModelReadySchema,
        parameters=("name",),
        reply="They can",
        also={"404": "Problem404", "503": "They cannot"},
    ),
)
SERVICE = (
    _HEALTH,
    Route("/healthz", "healthz", SERVICE_TAG, "The same as /health", HealthSchema, reply=_HEALTH.reply),
    Route("/livez", "livez", SERVICE_TAG, "The same as /health", HealthSchema, reply=_HEALTH.reply),
    _READY,
    Route(
        "/readyz",
        "readyz",
        SERVICE_TAG,
        "The same as /ready",
        ReadySchema,
        reply=_READY.reply,
        also=_READY.also,
    ),
    Route("/version", "version", SERVICE_TAG, "Which release is this?", ReleaseSchema),
    Route(
        "/",
        "index",
        SERVICE_TAG,
        "What is there? HTML for a browser that asks for it",
        IndexSchema,
        media_types=(JSON, "text/html"),
    ),
    Route("/openapi.json", "openapi", SERVICE_TAG, "This document"),
    Route("/docs/", "docs", SERVICE_TAG, "This page", media_types=("text/html",), reply="The page"),
)
METRICS = Route(
    "/metrics",
    "metrics",
    SERVICE_TAG,
    "What have all workers counted?",
    media_types=("text/plain",),
    reply="Prometheus's text format",
)


def add_routes(spec: APISpec, routes: Iterable[Route], names: Sequence[str]) -> None:
    """Write the operations of these routes into a specification; ``names`` are the models there are."""
    name = {"type": "string", "pattern": NAME_PATTERN, **({"examples": [names[0]]} if names else {})}
    for route in routes:
        operation = _operation(route, {"name": name, "version": _VERSION})
        spec.path(route.path, operations={route.method: operation})


def _operation(route: Route, parameters: Mapping[str, Any]) -> dict[str, Any]:
    json: Any = route.schema or {"type": "object"}
    content = {kind: {"schema": json if kind == JSON else {"type": "string"}} for kind in route.media_types}
    headers = {"X-Request-Id": "X-Request-Id"}
    responses: dict[str, Any] = {"200": {"description": route.reply, "headers": headers, "content": content}}
    for status, said in route.also.items():
        # Either a component, or the same body with another status.
        shared = said.startswith("Problem")
        responses[status] = said if shared else {"description": said, "headers": headers, "content": content}
    of_path = [
        {"name": n, "in": "path", "required": True, "description": _DESCRIPTIONS[n], "schema": parameters[n]}
        for n in route.parameters
    ]
    of_path += [
        {"name": n, "in": "query", "required": True, "description": _DESCRIPTIONS[n], "schema": _VERSION}
        for n in route.query
    ]
    body = {"required": route.body_required, "content": {JSON: {"schema": route.body}}}
    return {
        "operationId": route.operation_id,
        "tags": [route.tag],
        "summary": route.summary,
        **({"parameters": of_path} if of_path else {}),
        **({"requestBody": body} if route.body else {}),
        **({"security": [{route.security: []}]} if route.security else {}),
        "responses": {**responses, "default": "Problem"},
    }
