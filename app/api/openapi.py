"""The OpenAPI 3.1 document: every route that this application has, written from the schemas that it enforces."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import INCLUDE, Schema, fields

from app.api.context import Context
from app.api.openapi_admin import ADMIN, ADMIN_TAG, SECURITY, SECURITY_SCHEME
from app.api.openapi_models import PARAMETERS, ModelOperations
from app.api.openapi_service import CATALOG, CATALOG_TAG, METRICS, SERVICE, SERVICE_TAG, add_routes
from app.api.openapi_text import plain
from app.api.openapi_versions import BodyComponents
from app.catalog.snapshot import Catalog
from app.config import VERSION
from schemas.errors import CONTENT_TYPE, ProblemSchema
from schemas.fields import ColumnField

#: The first version that can say what stands at each place of a list (JSON Schema's ``prefixItems``), as rows have it.
OPENAPI = "3.1.0"

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
        "Not JSON, or not plain JSON; a broken gzip stream; or header and path ask for two versions",
        "the body is not valid JSON at line 1, column 14",
    ),
    "401": (
        "No valid token came",
        "this route needs the header 'Authorization: Bearer ..' with an administrator's token",
    ),
    "404": (
        "No such model or version; the detail lists what there is",
        "no model called 'other'; the store has: ..",
    ),
    "408": (
        "The body did not arrive in time",
        "the body did not arrive within 5 seconds; send it without pauses",
    ),
    "409": (
        "The present state forbids it; the detail says why",
        "stable is version 3 by now, not 2",
    ),
    "413": ("The body is too large", "the body is larger than this server takes; send fewer rows at once"),
    "415": (
        "The body is not declared as JSON, or encoded otherwise than by gzip",
        "send JSON with the header 'Content-Type: application/json'",
    ),
    "422": (
        "The input does not fit the model; `errors` lists every fault",
        "the input has 1 fault; see errors",
    ),
    "500": (
        "The model failed",
        "the server failed to answer this request; the log has more under its request id",
    ),
    "503": ("The version cannot answer now", "example:1 cannot be loaded; GET /ready says why"),
    "504": ("The answer did not come in time", "the answer did not come before the deadline"),
}
_FAULT = {"loc": ["features", "width"], "msg": "text is not allowed", "expected": "a number", "got": "4.2"}

#: Name -> what it says, its pattern, and whether it is always there.
HEADERS = {
    "X-Request-Id": (
        "The id of the request, as it was sent or made here",
        "^[A-Za-z0-9._~+/=-]{1,128}$",
        True,
    ),
    "X-Model-Version": ("The number of the version that answered", "^[1-9][0-9]{0,8}$", True),
    "X-Model-Arm": ("Why a traffic rule chose the version, where one did", "", False),
    "X-Prediction-Id": ("Names the prediction", "^[0-9a-f]{32}$", True),
    "Server-Timing": ("Milliseconds spent in parse, queue, predict and encode", "", True),
    "Retry-After": ("Seconds after which it is worth trying again", "^[1-9][0-9]*$", False),
    "WWW-Authenticate": ("How to be known", "", True),
}
#: What the replies of some statuses have beside the id of the request.
MORE_HEADERS = {"503": ("Retry-After",), "401": ("WWW-Authenticate",)}


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
            *(
                [{"name": ADMIN_TAG, "description": "what changes while it serves"}]
                if here.admin_tokens
                else []
            ),
        ],
    )
    assert plugin.converter is not None
    _add_components(spec)
    rest = _Slices(pause).rest
    bodies = BodyComponents(spec, plugin.converter.resolve_nested_schema, rest)
    operations = ModelOperations(spec, bodies, here, catalog, rest)
    for name in names:
        operations.add(name)
    add_routes(spec, [*CATALOG, *SERVICE, *([METRICS] if here.settings.metrics else [])], names)
    if here.admin_tokens:
        spec.components.security_scheme(SECURITY, SECURITY_SCHEME)
        add_routes(spec, ADMIN, names)
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
        """A column's property says itself whether it takes null."""
        if isinstance(field, ColumnField):
            return {}
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
    for name, (description, pattern, always) in HEADERS.items():
        schema = {"type": "string", **({"pattern": pattern} if pattern else {})}
        components.header(name, {"description": description, "required": always, "schema": schema})
    for name, (description, schema) in PARAMETERS.items():
        components.parameter(name, "header", {"description": description, "schema": schema})
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
        components.response(f"Problem{status}", _problem(description, example, MORE_HEADERS.get(status, ())))
    components.response("Problem", _problem("Any other reply is a problem"))


def _problem(
    description: str, example: dict[str, Any] | None = None, headers: Iterable[str] = ()
) -> dict[str, Any]:
    content = {"schema": "Problem", **({"example": example} if example else {})}
    found = {name: name for name in ("X-Request-Id", *headers)}
    return {"description": description, "headers": found, "content": {CONTENT_TYPE: content}}
