"""What the OpenAPI document says about the routes that are not a model's: catalog, readiness, metrics, the document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from apispec import APISpec
from marshmallow import Schema

from app.config import Settings
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

#: Model names are lower case, so no model's tag is one of these.
CATALOG_TAG, SERVICE_TAG = "Catalog", "Service"

_VERSION = {"type": "string", "example": "latest"}
_DESCRIPTIONS = {
    "name": "The model",
    "version": "A number, tag or alias",
    "a": "One version: a number, tag or alias",
    "b": "The other",
}


@dataclass(frozen=True, slots=True)
class Route:
    """One GET operation. ``schema`` describes its JSON; other replies have a ``media_type`` alone."""

    path: str
    operation_id: str
    tag: str
    summary: str
    schema: type[Schema] | None = None
    media_type: str = "application/json"
    reply: str = "The answer"
    parameters: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    also: dict[str, str] = field(default_factory=dict)


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
        also={"400": "Problem400", "404": "Problem404", "409": "Problem", "503": "Problem503"},
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
    Route("/", "index", SERVICE_TAG, "What is there? HTML for a browser that asks for it", IndexSchema),
    Route("/openapi.json", "openapi", SERVICE_TAG, "This document"),
    Route("/docs/", "docs", SERVICE_TAG, "This page", media_type="text/html", reply="The page"),
)
METRICS = Route(
    "/metrics",
    "metrics",
    SERVICE_TAG,
    "What have all workers counted?",
    media_type="text/plain",
    reply="Prometheus's text format",
)


def add_service(spec: APISpec, settings: Settings, names: Sequence[str]) -> None:
    """Write the operations of these routes into a specification; ``names`` are the models there are."""
    parameters = {"name": {"type": "string", **({"enum": list(names)} if names else {})}, "version": _VERSION}
    for route in (*CATALOG, *SERVICE, *([METRICS] if settings.metrics else [])):
        spec.path(route.path, operations={"get": _operation(route, parameters)})


def _operation(route: Route, parameters: Mapping[str, Any]) -> dict[str, Any]:
    schema: Any = route.schema
    if schema is None:
        schema = {"type": "object"} if route.media_type == "application/json" else {"type": "string"}
    content = {route.media_type: {"schema": schema}}
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
    return {
        "operationId": route.operation_id,
        "tags": [route.tag],
        "summary": route.summary,
        **({"parameters": of_path} if of_path else {}),
        "responses": {**responses, "default": "Problem"},
    }
