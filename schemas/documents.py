"""The documents of a model, a version, its signature and its columns, for HTTP and the command line.

``schemas/service.py`` declares their members, and ``schemas/errors.py`` the document of an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from marshmallow import fields

from models.compiled import compiled_state
from models.manifest import Manifest
from models.signature import Column, Output, Signature
from models.traffic import Rule
from schemas.cells import describe
from schemas.service import ColumnSchema

Document = dict[str, Any]

#: Writes the number of a version: as text over HTTP, where it is part of paths; as an integer elsewhere.
Number = Callable[[int], int | str]

#: A column's members: the name, whether it is always there, and whether every value but None counts. A flag
#: that is not set and an empty text are left out; a default of false is not.
_COLUMN = tuple(
    (name, field.required, not isinstance(field, (fields.Boolean, fields.String)))
    for name, field in ColumnSchema().fields.items()
)


def model_document(
    name: str,
    versions: Sequence[int],
    *,
    default: bool,
    description: str,
    aliases: Mapping[str, int],
    tags: Mapping[str, int],
    rule: Rule | None,
    state: Mapping[str, Any],
    number: Number = str,
) -> Document:
    """One model.

    versions : the numbers, ascending.
    default : whether the short routes lead to it.
    description : that of the stable version.
    state : what is known of it at this moment, such as ``state`` and ``reason`` on a server.
    """
    return {
        "name": name,
        "default": default,
        **state,
        "description": description,
        "versions": [number(version) for version in versions],
        "latest": number(versions[-1]) if versions else None,
        "aliases": {alias: number(version) for alias, version in aliases.items()},
        "tags": {tag: number(version) for tag, version in tags.items()},
        **({"traffic": _without_secrets(rule)} if rule else {}),
    }


def version_summary(
    version: int,
    names: Sequence[str],
    manifest: Manifest | None,
    state: Mapping[str, Any],
    number: Number = str,
) -> Document:
    """One line of a model's list of versions.

    names : its tags and aliases.
    manifest : None where it cannot be trusted.
    state : members about this moment: whether a server can answer with it, or whether its files are intact.
    """
    document: Document = {"version": number(version), **state, "names": sorted(names)}
    if manifest is not None:
        document |= {
            "published_at": manifest.published_at,
            "trained_at": manifest.trained_at,
            "framework": manifest.framework,
            **({"pickled_with": dict(manifest.pickled_with)} if manifest.pickled_with else {}),
            "metrics": dict(manifest.metrics),
        }
    return document


def version_document(summary: Mapping[str, Any], manifest: Manifest) -> Document:
    """Everything recorded about one version; ``summary`` is its line in the list."""
    return {
        "name": manifest.name,
        **summary,
        "description": manifest.description,
        "estimator": manifest.estimator,
        **signature_document(manifest.signature),
        "example": dict(manifest.example),
        "measured_ms": dict(manifest.measured_ms),
        "exact": manifest.exact,
        "compiled": compiled_state(manifest.compiled),
        "golden_rows": {"rows": manifest.golden_rows, "synthetic": manifest.golden_synthetic},
        "libraries": dict(manifest.libraries),
        "files": {path: {"sha256": r.sha256, "bytes": r.size_bytes} for path, r in manifest.files.items()},
    }


def signature_document(signature: Signature) -> Document:
    """What goes in and what comes out."""
    return {
        "features": [column_document(c) for c in signature.columns],
        "feature_names_recorded": signature.named,
        "coerce": signature.coerce,
        "parameters": [column_document(p) for p in signature.parameters],
        "output": output_document(signature.output),
    }


def output_document(output: Output) -> Document:
    """The answer to one row; ``classes`` are in the order of ``probability``, ``components`` of a vector."""
    document: Document = {"name": output.name} if output.name else {}
    document["kind"] = output.kind
    if output.kind == "class":
        document["classes"] = list(output.classes)
    if output.with_classes and not output.name:
        document["probability"] = output.probability
    nested = {
        "size": output.size,
        "components": list(output.components),
        "columns": [column_document(c) for c in output.columns],
        "outputs": [output_document(one) for one in output.outputs],
        "scores": [output_document(one) for one in output.scores],
        "method": output.method if output.method != "predict" else "",
        "arguments": dict(output.arguments),
    }
    return document | {key: value for key, value in nested.items() if value}


def column_document(column: Column) -> Document:
    """The members that ``ColumnSchema`` declares, as the column has them, without what does not apply."""
    document: Document = {}
    for name, is_required, is_plain in _COLUMN:
        value = getattr(column, name)
        if is_required or (value is not None if is_plain else value):
            document[name] = list(value) if isinstance(value, tuple) else value
    return document


class ColumnWords(NamedTuple):
    """A column as a row of a table for people."""

    name: str
    takes: str
    default: Any
    seen: str
    example: Any
    description: str


def column_words(column: Column) -> ColumnWords:
    """The column in words. What it takes has the words of an error message."""
    return ColumnWords(
        column.name, describe(column), column.default, column.seen, column.example, column.description
    )


def _without_secrets(rule: Rule) -> Document:
    """A traffic rule without the header values that open a match."""
    document = rule.to_json()
    for match in document.get("matches", ()):
        del match["value"]
    return document
