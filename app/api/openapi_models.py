"""The operations of the prediction routes in the OpenAPI document, and the text about each version."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from apispec import APISpec
from flask import Flask
from werkzeug.routing import Rule

from app.api.context import context_of
from app.api.openapi_components import PARAMETERS, STATUSES_OF_BODIES, BodyComponents
from app.api.predict import predict, predict_batch
from app.catalog.routing import Routing
from app.catalog.snapshot import ModelVersions
from models.errors import LoadError
from models.manifest import Manifest
from models.names import Version
from models.signature import Column, Output
from schemas.documents import column_words
from schemas.headers import MODEL_VERSION

#: The largest number of rows of a table; the metadata of the version lists every feature.
MAX_LISTED = 60

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+!|~&$^=:-])")

#: The statuses of a prediction besides 200.
PROBLEMS = (*STATUSES_OF_BODIES, "404", "500", "503", "504")


@dataclass(frozen=True, slots=True)
class VersionDocs:
    """The parts of the document that the operations of one version share."""

    #: The prefix of the names of the version's components.
    prefix: str
    #: The description of the version, in Markdown.
    text: str


class ModelOperations:
    """The writer of the operations of all models; it calls ``rest`` between steps."""

    def __init__(
        self,
        spec: APISpec,
        bodies: BodyComponents,
        app: Flask,
        routing: Routing,
        rest: Callable[[], None],
    ) -> None:
        self._spec = spec
        self._bodies = bodies
        self._app = app
        self._context = context_of(app)
        self._routing = routing
        self._snapshot = routing.snapshot
        self._rest = rest
        self._versions: dict[Version, VersionDocs] = {}

    def add_all(self) -> None:
        """Add an operation for every prediction route of the application and every model behind it."""
        for rule in self._app.url_map.iter_rules():
            view = self._app.view_functions[rule.endpoint]
            if view in (predict, predict_batch):
                for path, name, number in self._operations(rule):
                    self._add(path, name, number, single=view is predict)

    def _operations(self, rule: Rule) -> Iterator[tuple[str, str, int | None]]:
        """Yield the path, the model and the version number of each operation behind a rule.

        The number is None for requests that are routed. Rules for versions by tag yield nothing, since each
        version has its own operations.
        """
        models = self._snapshot.models
        if rule.defaults:
            name, number = rule.defaults["name"], int(rule.defaults["version"])
            if name in models and number in models[name].versions:
                yield rule.rule, name, number
        elif rule.arguments == {"name"}:
            yield from ((rule.rule.replace("<name>", name), name, None) for name in models)
        elif not rule.arguments and self._snapshot.default is not None:
            yield rule.rule, self._snapshot.default, None

    def _add(self, path: str, name: str, number: int | None, *, single: bool) -> None:
        short = not path.startswith("/models/")
        model, docs = self._snapshot.model(name), self._answering(name, number)
        kind, rows = ("", "one row") if single else ("Batch", "many rows")
        many = f"Features, parameters and version are the same as in `POST {path.removesuffix('/batch')}`."
        operation: dict[str, Any] = {
            "operationId": _operation_id(name, number, short=short, single=single),
            "tags": [name],
            "summary": f"Predict {rows} with {_subject(name, number, short=short)}",
            "description": f"{self._who(model, number, short=short)}\n\n{docs.text}" if single else many,
            "requestBody": self._bodies.bodies[f"{docs.prefix}{kind}Request"],
            "responses": {"200": f"{docs.prefix}{kind}Reply", **{s: f"Problem{s}" for s in PROBLEMS}},
            **({"parameters": list(PARAMETERS)} if number is None else {}),
        }
        self._spec.path(path, operations={"post": operation})
        self._rest()

    def _who(self, model: ModelVersions, number: int | None, *, short: bool) -> str:
        """Return one line about the version that answers."""
        if number is not None:
            return version_line(model, number)
        name, routed = model.name, self._routing.targets.get(model.name)
        line = routed_line(model, routed.number if routed else None)
        same = f"The same as `POST /models/{name}/predict`: {plain(name)} is the default model. "
        return same + line if short else line

    def _answering(self, name: str, number: int | None) -> VersionDocs:
        """Return the text about the version that answers: the given one, or that of routed requests."""
        target = self._routing.targets.get(name) if number is None else Version(name, number)
        if target is None:
            return self._unreadable()
        if target not in self._versions:
            self._versions[target] = self._version(target)
        return self._versions[target]

    def _version(self, target: Version) -> VersionDocs:
        try:
            manifest = self._snapshot.manifest(target)
            schemas = self._context.schemas(target)
            self._rest()
            prefix = self._bodies.add(manifest, schemas)
        except LoadError:
            return self._unreadable()
        return VersionDocs(prefix, version_text(manifest))

    def _unreadable(self) -> VersionDocs:
        return VersionDocs(self._bodies.unreadable(), version_text(None))


def _operation_id(name: str, number: int | None, *, short: bool, single: bool) -> str:
    model = "" if short else f"models.{name}."
    version = "" if number is None else f"v{number}."
    return model + version + ("predict" if single else "predict_batch")


def _subject(name: str, number: int | None, *, short: bool) -> str:
    """Return the subject of an operation's summary."""
    if number is None:
        return "the default model" if short else name
    return f"version {number}" if short else f"{name}, version {number}"


def routed_line(model: ModelVersions, routed: int | None) -> str:
    """Return one line about the version of a routed request; ``routed`` is None if no version can answer."""
    now = f" (version {routed} when this page was built)" if routed else ""
    choices = ", ".join(f"`{s}`" for s in (*map(str, model.versions), *sorted(model.selectors)))
    return f"Answered by `stable`{now}, or by what the header `{MODEL_VERSION}` names: {choices}."


def version_line(model: ModelVersions, version: int) -> str:
    """Return one line about a version that every request of the operation gets."""
    names = ", ".join(f"`{name}`" for name in sorted(model.names_of(version)))
    return f"Always version {version}" + (f", also called {names}" if names else "") + "."


def version_text(manifest: Manifest | None) -> str:
    """Return the columns of a version in a table, its answers and its figures, as Markdown."""
    if manifest is None:
        return "Its record cannot be read, so it answers 503; `GET /ready` says why."
    signature = manifest.signature
    parts = [f"{plain(manifest.description)}\n"] if manifest.description else []
    heading = "Feature" if signature.named else "Feature, by position"
    parts.append(_table(heading, signature.columns))
    if signature.parameters:
        parts.append(_table("Parameter", signature.parameters))
    parts += _answered(signature.output)
    parts.append(_figures(manifest))
    return "\n".join(parts)


def _answered(output: Output) -> list[str]:
    """Return a paragraph for each list of names in the answer: of classes, components and scores."""
    order = ", in the order of `probability`" if output.probability else ""
    names_of = {
        f"**Classes{f' of `{one.name}`' if one.name else ''}**{order}": one.classes
        for one in output.with_classes
    }
    names_of["**The numbers of `prediction`**, in this order"] = output.components
    names_of["**Also in the reply, under `scores`**"] = tuple(score.name for score in output.scores)
    return [
        f"{what}: {', '.join(f'`{name}`' for name in names[:MAX_LISTED])}\n"
        for what, names in names_of.items()
        if names
    ]


def _table(heading: str, columns: tuple[Column, ...]) -> str:
    """Return the columns as a table, without the table's empty columns."""
    listed = [column_words(column) for column in columns[:MAX_LISTED]]
    table = {
        heading: [f"**{plain(c.name)}**" for c in listed],
        "Takes": [plain(c.takes) for c in listed],
        "Seen in training": [c.seen for c in listed],
        "Default": ["" if c.default is None else plain(str(c.default)) for c in listed],
        "Description": [plain(c.description) for c in listed],
    }
    table = {name: cells for name, cells in table.items() if any(cells)}
    rows = [tuple(table), ("---",) * len(table), *zip(*table.values(), strict=True)]
    if len(columns) > MAX_LISTED:
        rows.append((f".. and {len(columns) - MAX_LISTED} more", *[""] * (len(table) - 1)))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _figures(manifest: Manifest) -> str:
    measured = ", ".join(
        f"{ms:g} ms for {rows} row{'s' * (rows != '1')}" for rows, ms in manifest.measured_ms.items()
    )
    metrics = ", ".join(f"{plain(name)} {value:.4g}" for name, value in manifest.metrics.items())
    facts = (
        ("Metrics", metrics),
        ("One call", measured),
        ("Trained", manifest.trained_at[:10]),
        ("Pickled with", plain(", ".join(" ".join(pair) for pair in manifest.pickled_with.items()))),
        ("Runs on", plain(f"{manifest.framework} {manifest.libraries.get(manifest.framework, '')}".strip())),
    )
    return " · ".join(f"**{what}** {fact}" for what, fact in facts if fact)


def plain(text: str) -> str:
    """Return the text on one line, escaped so that Markdown shows it unchanged."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))
