"""The OpenAPI 3.1 document of an application, written from its URL map, its views and its schemas.

Each view carries the description of its operation (app/api/documented.py).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from flask import Flask
from marshmallow import Schema, fields
from werkzeug.routing import Rule

from app.api.context import context_of
from app.api.documented import GROUPS, JSON, SECURITY_SCHEMES, Operation, operation_of
from app.api.openapi_components import STATUSES_OF_BODIES, BodyComponents, add_components, headers
from app.api.openapi_models import ModelOperations, plain
from app.catalog.routing import Routing
from app.catalog.snapshot import Snapshot
from app.config import VERSION, Settings
from models.names import NAME_PATTERN, SELECTOR_PATTERN
from schemas.fields import ColumnField

#: The version of OpenAPI. Rows need a schema for each position of a list (``prefixItems``), which 3.0 lacks.
OPENAPI = "3.1.0"

_VERSION = {"type": "string", "pattern": SELECTOR_PATTERN, "examples": ["latest"]}

#: The document is built in slices, between which other requests run.
SLICE_SECONDS = 0.002
PAUSE_SECONDS = 0.001

ABOUT = """\
Every model of this server, with its features, ranges and examples. Open an operation and press *Try it out*:
the example is filled in, and the model answers it.

### Send rows
One row is `{"features": [..]}`, `{"features": {name: value}}` or the bare object `{name: value}`.
Many rows are `{"inputs": [row, ..]}` on the route that ends in `/batch`. Parameters, if a model has any, are
members of `parameters`; in the bare object they are on one level with the features.

### Read an error
Errors are problem details (RFC 9457, `application/problem+json`). `detail` says what to do. A 422 lists all
faults under `errors`, each with its location (`loc`), what was expected and what was sent. Every reply and
the server's log have the `X-Request-Id` of the request, or a new one.

### Choose a version
| Route | Version that answers |
|---|---|
| `/models/{name}/predict` | the one that the header `X-Model-Version` names, else `stable` |
| `/models/{name}/versions/{version}/predict` | always this one; `{version}` is a number, tag or alias |
| `/predict`, `/v{n}/predict` | the same two for the default model |

`X-Model-Version` is a number (`2`), a tag (`1.0.0`) or an alias (`stable`, `latest`). One that contradicts
the path is refused with 400. Every prediction names the version that answered, in `model_version` and in the
header `X-Model-Version`.
"""


def build_document(
    app: Flask, routing: Routing, pause: Callable[[float], None] = time.sleep
) -> dict[str, Any]:
    """Build the document of an application, with the models of the routing's snapshot.

    ``pause`` is called every few milliseconds with a number of seconds.
    """
    plugin = _Plugin(schema_name_resolver=_component_name)
    snapshot = routing.snapshot
    names = sorted(snapshot.models, key=lambda name: (name != snapshot.default, name))
    routes = list(described_routes(app))
    described = {operation.group for _, operation in routes}
    groups = [group for group in GROUPS if group in described]
    spec = APISpec(
        "Plumbline",
        VERSION,
        OPENAPI,
        plugins=[plugin],
        info={"description": ABOUT},
        # Relative to the document, so that it stays valid behind a proxy that adds a prefix.
        servers=[{"url": "./"}],
        tags=[
            *({"name": name, "description": _model_line(snapshot, name)} for name in names),
            *({"name": group.tag, "description": group.about} for group in groups),
        ],
    )
    assert plugin.converter is not None
    add_components(spec)
    rest = _Slices(pause).rest
    bodies = BodyComponents(spec, plugin.converter.resolve_nested_schema, rest)
    ModelOperations(spec, bodies, app, routing, rest).add_all()
    for scheme in {group.security for group in groups if group.security}:
        spec.components.security_scheme(scheme, SECURITY_SCHEMES[scheme])
    parameters = _path_parameters(names)
    for rule, operation in routes:
        described_operation = _operation(rule, operation, parameters)
        spec.path(_template(rule), operations={_method(rule): described_operation})
    return spec.to_dict()


def described_routes(app: Flask) -> Iterator[tuple[Rule, Operation]]:
    """Yield every rule whose view has an operation, with the operation.

    If a view has several rules, the one that was added last (by the topmost decorator) is documented, and the
    others are its aliases.
    """
    settings = context_of(app).settings
    rules: dict[Callable[..., Any], list[Rule]] = {}
    for rule in app.url_map.iter_rules():
        rules.setdefault(app.view_functions[rule.endpoint], []).append(rule)
    for view, of_view in rules.items():
        operation = operation_of(view)
        if operation is not None and _is_served(operation, settings):
            first, *aliases = reversed(of_view)
            yield first, operation
            for alias in aliases:
                alias_id, summary = alias.rule.rpartition("/")[2], f"The same as {first.rule}"
                yield alias, replace(operation, operation_id=alias_id, summary=summary)


def _is_served(operation: Operation, settings: Settings) -> bool:
    return not operation.setting or bool(getattr(settings, operation.setting))


class _Slices:
    """A division of work into slices, with pauses between them."""

    def __init__(self, pause: Callable[[float], None]) -> None:
        self._pause = pause
        self._started_at = time.perf_counter()

    def rest(self) -> None:
        """Pause if the current slice has lasted long enough."""
        if time.perf_counter() - self._started_at > SLICE_SECONDS:
            self._pause(PAUSE_SECONDS)
            self._started_at = time.perf_counter()


class _Converter(OpenAPIConverter):
    def field2nullable(self, field: fields.Field[Any], ret: dict[str, Any]) -> dict[str, Any]:
        """Return how null is described; nothing for a column, whose property describes it already."""
        if isinstance(field, ColumnField):
            return {}
        nullable: dict[str, Any] = super().field2nullable(field, ret)
        return nullable


class _Plugin(MarshmallowPlugin):
    Converter = _Converter


def _component_name(schema: type[Schema] | Schema) -> str:
    """Return the name of a schema's component; empty for one from a signature, which is written inline."""
    name = (schema if isinstance(schema, type) else type(schema)).__name__
    return "" if name == "GeneratedSchema" else name.removesuffix("Schema")


def _model_line(snapshot: Snapshot, name: str) -> str:
    """Return the description of a model's tag."""
    default = "the default model" if name == snapshot.default else ""
    return ". ".join(part for part in (default, plain(snapshot.model(name).description)) if part)


def _path_parameters(names: Iterable[str]) -> dict[str, Any]:
    """Return the parameters of paths; ``names`` are the names of the models."""
    example = next(iter(names), None)
    name = {"type": "string", "pattern": NAME_PATTERN, **({"examples": [example]} if example else {})}
    return {
        "name": {"description": "The model", "schema": name},
        "version": {"description": "A number, tag or alias", "schema": _VERSION},
    }


def _template(rule: Rule) -> str:
    return re.sub(r"<(\w+)>", r"{\1}", rule.rule)


def _method(rule: Rule) -> str:
    (method,) = (rule.methods or set()) - {"HEAD", "OPTIONS"}
    return method.lower()


def _operation(rule: Rule, operation: Operation, parameters: Mapping[str, Any]) -> dict[str, Any]:
    reply: Any = operation.reply or {"type": "object"}
    content = {
        kind: {"schema": reply if kind == JSON else {"type": "string"}} for kind in operation.media_types
    }
    successes = {"200": operation.success, **operation.also}
    body = {"required": operation.body_required, "content": {JSON: {"schema": operation.body}}}
    in_path = [{"name": n, "in": "path", "required": True, **parameters[n]} for n in _names(rule)]
    in_query = [
        {"name": n, "in": "query", "required": True, "description": description, "schema": _VERSION}
        for n, description in operation.query.items()
    ]
    return {
        "operationId": operation.operation_id,
        "tags": [operation.group.tag],
        "summary": operation.summary,
        **({"parameters": in_path + in_query} if in_path or in_query else {}),
        **({"requestBody": body} if operation.body else {}),
        **({"security": [{operation.group.security: []}]} if operation.group.security else {}),
        "responses": {
            **{
                status: {"description": description, "headers": headers(), "content": content}
                for status, description in successes.items()
            },
            **{status: f"Problem{status}" for status in _problems(rule, operation)},
            "default": "Problem",
        },
    }


def _names(rule: Rule) -> list[str]:
    """Return the parameters of the path, in its order."""
    return re.findall(r"<(\w+)>", rule.rule)


def _problems(rule: Rule, operation: Operation) -> list[str]:
    """Return the statuses of problems: those of the operation, and those that follow from its parameters."""
    return [
        *(["401"] if operation.group.security else []),
        *(["404"] if rule.arguments else []),
        *(STATUSES_OF_BODIES if operation.body else ()),
        *operation.problems,
    ]
