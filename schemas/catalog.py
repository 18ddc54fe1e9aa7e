"""How models and versions are shown: metadata as JSON, with everything that was recorded at publishing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from models.compiled import compiled_state
from models.manifest import Manifest
from models.signature import Column, Output, Signature


def version_summary(
    version: int, state: str, reason: str, selectors: Sequence[str], manifest: Manifest | None
) -> dict[str, Any]:
    """One line of a model's list of versions; ``manifest`` is None when it cannot be trusted."""
    found: dict[str, Any] = {"version": str(version), "state": state, "names": sorted(selectors)}
    if reason:
        found["reason"] = reason
    if manifest is not None:
        found |= {
            "published_at": manifest.published_at,
            "trained_at": manifest.trained_at,
            "framework": manifest.framework,
            **({"pickled_with": dict(manifest.pickled_with)} if manifest.pickled_with else {}),
            "metrics": dict(manifest.metrics),
        }
    return found


def version_metadata(
    summary: Mapping[str, Any], manifest: Manifest, batching: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything about one version: M8 of the design, what it was made with, and how its requests are batched here."""
    return {
        "name": manifest.name,
        **summary,
        "description": manifest.description,
        "estimator": manifest.estimator,
        **signature_metadata(manifest.signature),
        "example": dict(manifest.example),
        "measured_ms": dict(manifest.measured_ms),
        "exact": manifest.exact,
        "compiled": compiled_state(manifest.compiled),
        "batching": dict(batching),
        "golden_rows": {"rows": manifest.golden_rows, "synthetic": manifest.golden_synthetic},
        "libraries": dict(manifest.libraries),
        "files": {path: {"sha256": r.sha256, "bytes": r.size_bytes} for path, r in manifest.files.items()},
    }


def signature_metadata(signature: Signature) -> dict[str, Any]:
    """What goes in and what comes out."""
    return {
        "features": [column_metadata(c) for c in signature.columns],
        "feature_names_recorded": signature.named,
        "coerce": signature.coerce,
        "parameters": [column_metadata(p) for p in signature.parameters],
        "output": output_metadata(signature.output),
    }


def output_metadata(output: Output) -> dict[str, Any]:
    """What one row is answered with; ``classes`` are in the order of ``probability``, ``components`` in that of a vector."""
    found: dict[str, Any] = {"name": output.name} if output.name else {}
    found["kind"] = output.kind
    if output.kind == "class":
        found["classes"] = list(output.classes)
    if output.with_classes and not output.name:
        found["probability"] = output.probability
    nested = {
        "size": output.size,
        "components": list(output.components),
        "columns": [column_metadata(c) for c in output.columns],
        "outputs": [output_metadata(one) for one in output.outputs],
        "scores": [output_metadata(one) for one in output.scores],
        "method": output.method if output.method != "predict" else "",
        "arguments": dict(output.arguments),
    }
    return found | {key: value for key, value in nested.items() if value}


def column_metadata(column: Column) -> dict[str, Any]:
    """Name, type, declared constraints and observed range, without what does not apply."""
    found: dict[str, Any] = {"name": column.name, "dtype": column.dtype, "required": column.required}
    optional = {
        "description": column.description or None,
        "default": column.default,
        "nullable": column.nullable or None,
        "optional": column.optional or None,
        "timezone": column.timezone or None,
        "minimum": column.minimum,
        "maximum": column.maximum,
        "limit_of": column.limit_of or None,
        "min_length": column.min_length,
        "max_length": column.max_length,
        "values": None if column.values is None else list(column.values),
        "observed": None if column.observed is None else list(column.observed),
        "example": column.example,
    }
    return found | {key: value for key, value in optional.items() if value is not None}
