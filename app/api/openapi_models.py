"""What the OpenAPI document says about the routes of one model: the short ones of the default model, the routed ones
of every model, and those of each version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from apispec import APISpec

from app.api.context import Context
from app.api.openapi_service import STATUSES_OF_BODIES
from app.api.openapi_text import plain, routed_line, version_line, version_text
from app.api.openapi_versions import BodyComponents
from app.catalog.snapshot import Catalog, CatalogModel
from models.errors import LoadError, NotFound
from models.names import SELECTOR_PATTERN, Version

#: What a prediction can be answered with beside 200.
PROBLEMS = (*STATUSES_OF_BODIES, "404", "500", "503", "504")

#: The headers of a routed request: what they say, and which values they have.
PARAMETERS = {
    "X-Model-Version": (
        "A version's number, tag or alias; without it, or empty, `stable`",
        {"type": "string", "pattern": f"^({SELECTOR_PATTERN[1:-1]})?$"},
    ),
    "X-Routing-Key": (
        "Where a traffic rule divides the requests, all with the same key get the same version; 256 characters count",
        {"type": "string"},
    ),
}


@dataclass(frozen=True, slots=True)
class VersionDocs:
    """What the operations of one version say and refer to."""

    prefix: str
    text: str


class ModelOperations:
    """Writes the operations of models into a specification; ``rest`` is called wherever it may be interrupted."""

    def __init__(
        self,
        spec: APISpec,
        bodies: BodyComponents,
        here: Context,
        catalog: Catalog,
        rest: Callable[[], None],
    ) -> None:
        self._spec = spec
        self._bodies = bodies
        self._here = here
        self._catalog = catalog
        self._rest = rest

    def add(self, name: str) -> None:
        """Add one model."""
        model = self._catalog.model(name)
        versions = {number: self._version(Version(name, number)) for number in model.versions}
        stable = _stable(self._catalog, model)
        routed = versions[stable] if stable in versions else self._unreadable()
        said = routed_line(model, stable)
        if name == self._catalog.default:
            short = f"The same as `POST /models/{name}/predict`: {plain(name)} is the default model. {said}"
            self._pair("", "", "the default model", name, short, routed, routed=True)
            for number, docs in versions.items():
                said_of = version_line(model, number)
                self._pair(f"/v{number}", f"v{number}.", f"version {number}", name, said_of, docs)
        self._pair(f"/models/{name}", f"models.{name}.", name, name, said, routed, routed=True)
        for number, docs in versions.items():
            path, operation_id = f"/models/{name}/versions/{number}", f"models.{name}.v{number}."
            self._pair(
                path, operation_id, f"{name}, version {number}", name, version_line(model, number), docs
            )

    def _version(self, target: Version) -> VersionDocs:
        try:
            manifest = self._catalog.manifest(target)
            schemas = self._here.schemas(target)
            self._rest()
            prefix = self._bodies.add(manifest, schemas)
        except LoadError:
            return self._unreadable()
        return VersionDocs(prefix, version_text(manifest))

    def _unreadable(self) -> VersionDocs:
        return VersionDocs(self._bodies.unreadable(), version_text(None))

    def _pair(
        self,
        path: str,
        operation_id: str,
        what: str,
        tag: str,
        who: str,
        docs: VersionDocs,
        *,
        routed: bool = False,
    ) -> None:
        """The operations for one row and for many at one place."""
        many = f"Features, parameters and version are those of `POST {path}/predict`."
        for where, kind, rows, said in (
            ("predict", "", "one row", f"{who}\n\n{docs.text}"),
            ("predict/batch", "Batch", "many rows", many),
        ):
            operation: dict[str, Any] = {
                "operationId": operation_id + where.replace("/", "_"),
                "tags": [tag],
                "summary": f"Ask {what} about {rows}",
                "description": said,
                "requestBody": self._bodies.bodies[f"{docs.prefix}{kind}Request"],
                "responses": {"200": f"{docs.prefix}{kind}Reply", **{s: f"Problem{s}" for s in PROBLEMS}},
                **({"parameters": list(PARAMETERS)} if routed else {}),
            }
            self._spec.path(f"{path}/{where}", operations={"post": operation})
            self._rest()


def _stable(catalog: Catalog, model: CatalogModel) -> int | None:
    try:
        return catalog.resolve(model.name).number
    except NotFound:
        return None
