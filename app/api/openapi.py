"""The OpenAPI 3.0.3 document: every route that this application has, written from the schemas that it enforces."""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import INCLUDE, Schema, fields

from app.api.context import Context
from app.api.openapi_models import VERSION_PARAMETER, ModelOperations
from app.api.openapi_service import CATALOG_TAG, SERVICE_TAG, add_service
from app.api.openapi_text import plain
from app.api.openapi_versions import BodyComponents
from app.config import VERSION
from app.serving.catalog import Catalog
from schemas.errors import CONTENT_TYPE, ProblemSchema
from schemas.fields import ColumnField

OPENAPI = "3.0.3"

#: The document is made in slices, between which other requests go on.
SLICE_SECONDS = 0.002
PAUSE_SECONDS = 0.001

ABOUT = """\
Every model of this server, with its real features, ranges and examples. Open an operation and press *Try it out*:
the example is filled in, and what is sent is answered by the model itself.

### Send rows
One row is `{"features": [..]}`, `{"features": {name: value}}` or the bare object `{name: value}`.
Many rows are `{"inputs": [row, ..]}` on the route that ends in `/batch`. Parameters, where a model has any, stand
under `parameters`; in the bare object beside the features.

### Read an error
Errors are problem details (RFC 9457, `application/problem+json`). `detail` says what to do; a 422 lists every fault
at once under `errors`, with its place (`loc`), what was expected and what came. `X-Request-Id`, sent by
you or made here, is on every reply and in the server's log.

### Choose a version
| Route | Version that answers |
|---|---|
| `/models/{name}/predict` | the one that the header `X-Model-Version` names, else `stable` |
| `/models/{name}/versions/{version}/predict` | always this one; `{version}` is a number, tag or alias |
| `/predict`, `/v{n}/predict` | the same two for the default model |

`X-Model-Version` takes a number (`2`), a tag (`1.0.0`) or an alias (`stable`, `latest`). One that contradicts the
path is refused with 400. Every prediction says who answered, in `model_version` and in the reply's `X-Model-Version`.
"""

#: Status -> what it means, and the detail that its example shows.
PROBLEMS = {
    "400": (
        "Not JSON, or not plain JSON; or header and path ask for two versions",
        "the body is not valid JSON: unexpected character (line 1, column 14)",
    ),
    "404": (
        "No such model or version; the detail lists what there is",
        "no model called 'other'; the store has: ..",
    ),
    "408": (
        "The body did not arrive in time",
        "the body did not arrive within 5 seconds; send it without pauses",
    ),
    "413": ("The body is too large", "the body is larger than this server takes; send fewer rows at once"),
    "415": ("The body is not declared as JSON", "send JSON with the header 'Content-Type: application/json'"),
    "422": (
        "The input does not fit the model; `errors` lists every fault",
        "the input has 1 fault; see errors",
    ),
    "500": (
        "The model failed",
        "the server failed to answer this request; the log has more under its request id",
    ),
    "503": ("The version cannot answer now", "example:1 cannot be loaded; GET /ready says why"),
}
_FAULT = {"loc": ["features", "width"], "msg": "text is not allowed", "expected": "a number", "got": "4.2"}

HEADERS = {
    "X-Request-Id": "The id of the request, as it was sent or made here",
    "X-Model-Version": "The number of the version that answered",
    "X-Prediction-Id": "Names the prediction",
    "Server-Timing": "Milliseconds spent in parse, queue, predict and encode",
    "Retry-After": "Seconds after which it is worth trying again",
}


def build_document(
    here: Context, catalog: Catalog, pause: Callable[[float], None] = time.sleep
) -> dict[str, Any]:
    """The document for this catalog; ``pause`` is called every few milliseconds with a number of seconds."""
    plugin = _Plugin(schema_name_resolver=_component_name)
    names = sorted(catalog.models, key=lambda name: (name != catalog.default, name))
    spec = APISpec(
        "Plumbline",
        VERSION,
        OPENAPI,
        plugins=[plugin],
        info={"description": ABOUT},
        # Relative to the document itself, so that it also holds behind a proxy that adds a prefix.
        servers=[{"url": "./"}],
        tags=[
            *({"name": name, "description": _model_line(catalog, name)} for name in names),
            {
                "name": CATALOG_TAG,
                "description": "which models and versions there are, and what is known of each",
            },
            {"name": SERVICE_TAG, "description": "whether the server is alive and ready, and what it counts"},
        ],
    )
    assert plugin.converter is not None
    _add_components(spec)
    rest = _Slices(pause).rest
    bodies = BodyComponents(spec, plugin.converter.resolve_nested_schema, rest)
    operations = ModelOperations(spec, bodies, here, catalog, rest)
    for name in names:
        operations.add(name)
    add_service(spec, here.settings, names)
    return spec.to_dict()


class _Slices:
    """Pauses when the present slice of work is used up."""

    def __init__(self, pause: Callable[[float], None]) -> None:
        self._pause = pause
        self._began = time.perf_counter()

    def rest(self) -> None:
        if time.perf_counter() - self._began > SLICE_SECONDS:
            self._pause(PAUSE_SECONDS)
            self._began = time.perf_counter()


class _Converter(OpenAPIConverter):
    def field2nullable(self, field: fields.Field[Any], ret: dict[str, Any]) -> dict[str, Any]:
        """A column's field lets null through to the column's own check, which alone decides."""
        if isinstance(field, ColumnField):
            return {"nullable": True} if field.column.nullable else {}
        found: dict[str, Any] = super().field2nullable(field, ret)
        return found


class _Plugin(MarshmallowPlugin):
    Converter = _Converter


def _component_name(schema: type[Schema] | Schema) -> str:
    """Schemas that have a class of their own get a name; those made from a signature are written where they stand."""
    name = (schema if isinstance(schema, type) else type(schema)).__name__
    return "" if name == "GeneratedSchema" else name.removesuffix("Schema")


def _model_line(catalog: Catalog, name: str) -> str:
    """What is said about a model beside its name."""
    model = catalog.model(name)
    stable = model.whole.get(model.selectors.get("stable", 0))
    said = stable.manifest.description if stable else ""
    default = "the default model" if name == catalog.default else ""
    return ". ".join(part for part in (default, plain(said)) if part)


def _add_components(spec: APISpec) -> None:
    components = spec.components
    for name, description in HEADERS.items():
        components.header(name, {"description": description, "schema": {"type": "string"}})
    components.parameter(
        VERSION_PARAMETER,
        "header",
        {
            "description": "A version's number, tag or alias; without it `stable`",
            "schema": {"type": "string"},
        },
    )
    components.schema("Problem", schema=ProblemSchema(unknown=INCLUDE))
    for status, (description, detail) in PROBLEMS.items():
        example = {
            "type": "about:blank",
            "title": HTTPStatus(int(status)).phrase,
            "status": int(status),
            "detail": detail,
            "request_id": "5f0c9d1e7a2b4c3d8e6f1a0b9c8d7e6f",
            **({"errors": [_FAULT]} if status == "422" else {}),
        }
        components.response(f"Problem{status}", _problem(description, example, retry=status == "503"))
    components.response("Problem", _problem("Any other reply is a problem"))


def _problem(
    description: str, example: dict[str, Any] | None = None, *, retry: bool = False
) -> dict[str, Any]:
    names = ("X-Request-Id", *(["Retry-After"] if retry else []))
    content = {"schema": "Problem", **({"example": example} if example else {})}
    return {"description": description, "headers": {n: n for n in names}, "content": {CONTENT_TYPE: content}}
