"""The JSON of models and versions on the command line: the documents of HTTP with integer versions.

Members that only the command line has are kept for scripts that read them: ``tags`` for ``names``,
``status``, and what a version recorded as it recorded it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from app.catalog.snapshot import ModelVersions, Snapshot
from models.errors import ArtifactDamaged
from models.record import Record
from models.store import Store
from schemas.documents import Document, model_document, version_document, version_summary


def described_models(catalog: Snapshot, step: Callable[[str], None]) -> list[Document]:
    """Return every model with the state of each version. Calls ``step`` before it reads a version."""
    return [_described_model(model, catalog.default, step) for model in catalog.models.values()]


def described_version(record: Record, names: Sequence[str], **state: Any) -> Document:
    """Return everything about one version, with its tags and aliases and the members of ``state``."""
    manifest = record.manifest
    recorded = orjson.loads(manifest.to_bytes())
    document = version_document(version_summary(manifest.version, names, manifest, state, int), manifest)
    files = {path: {**file, **document["files"][path]} for path, file in recorded["files"].items()}
    return {
        **recorded,
        **document,
        "tags": list(names),
        "golden_rows": manifest.golden_rows,
        "files": files,
    }


def file_status(record: Record) -> str:
    """Return ``ok``, or a sentence about the file that is not the one that was published."""
    try:
        for path in record.manifest.files:
            record.read(path)
    except ArtifactDamaged as error:
        return str(error)
    return "ok"


def names_of(store: Store, record: Record) -> list[str]:
    """Return the tags and aliases of the version."""
    selectors = store.selectors(record.manifest.name)
    return [name for name, version in selectors.items() if version == record.manifest.version]


def _described_model(model: ModelVersions, default: str | None, step: Callable[[str], None]) -> Document:
    document = model_document(
        model.name,
        [*model.versions],
        default=model.name == default,
        description=model.description,
        aliases=model.aliases,
        tags=model.tags,
        rule=model.rule,
        state={},
        number=int,
    )
    versions: list[Document] = []
    if model.fault:
        versions.append({"version": None, "names": [], "tags": [], "status": model.fault})
    for number in model.versions:
        step(f"checking {model.name}:{number}")
        versions.append(_described_line(model, number))
    return {**document, "stable": model.selectors.get("stable"), "versions": versions}


def _described_line(model: ModelVersions, number: int) -> Document:
    names, record = model.names_of(number), model.record(number)
    if record is None:
        return {
            **version_summary(number, names, None, {"status": model.fault_of(number)}, int),
            "tags": names,
        }
    summary = version_summary(number, names, record.manifest, {"status": file_status(record)}, int)
    size_bytes = sum(file.size_bytes for file in record.manifest.files.values())
    return {**summary, "tags": names, "bytes": size_bytes}
