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

#: Formats the number of a version: as text over HTTP, where it is part of paths, as an integer elsewhere.
Number = Callable[[int], int | str]

#: The members of a column: the name, whether it is required, and whether only None is left out. Flags and
#: texts are left out when false or empty, while a default of false is kept.
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
    """Return the document of one model.

    ``versions`` are the numbers, ascending. ``default`` tells whether the short routes lead to the model.
    ``description`` is that of the stable version. ``state`` has members about the present, such as ``state``
    and ``reason`` on a server.
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
    """Return the entry of a version in its model's list.

    ``names`` are its tags and aliases. ``manifest`` is None if it failed verification. ``state`` has members
    about the present: whether a server can answer with the version, or whether its files are intact.
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
    """Return the document of one version; ``summary`` is its entry in the list."""
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
    """Return the members about a signature: features, parameters and output."""
    return {
        "features": [column_document(c) for c in signature.columns],
        "feature_names_recorded": signature.named,
        "coerce": signature.coerce,
        "parameters": [column_document(p) for p in signature.parameters],
        "output": output_document(signature.output),
    }


def output_document(output: Output) -> Document:
    """Return the document of an output; ``classes`` are in the order of ``probability``."""
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
    """Return the document of a column: the members of ``ColumnSchema`` that apply to it."""
    document: Document = {}
    for name, is_required, is_plain in _COLUMN:
        value = getattr(column, name)
        if is_required or (value is not None if is_plain else value):
            document[name] = list(value) if isinstance(value, tuple) else value
    return document


class ColumnWords(NamedTuple):
    """A column in words, as a row of a table."""

    name: str
    takes: str
    default: Any
    seen: str
    example: Any
    description: str


def column_words(column: Column) -> ColumnWords:
    """Return the column in words; ``takes`` has the wording of error messages."""
    return ColumnWords(
        column.name, describe(column), column.default, column.seen, column.example, column.description
    )


def _without_secrets(rule: Rule) -> Document:
    """Return the document of a traffic rule, without the secret header values of its matches."""
    document = rule.to_json()
    for match in document.get("matches", ()):
        del match["value"]
    return document
