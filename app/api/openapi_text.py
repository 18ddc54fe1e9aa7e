"""What the OpenAPI document says in words, as Markdown: what a version takes, what it is measured to be, and who answers."""

from __future__ import annotations

import re

from app.catalog.snapshot import CatalogModel
from models.manifest import Manifest
from models.signature import Column, Output
from schemas.cells import describe

#: A wider table helps nobody; the metadata of the version lists every feature.
MAX_LISTED = 60

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+!|~&$^=:-])")


def routed_line(model: CatalogModel, routed: int | None) -> str:
    now = f" (version {routed} when this page was made)" if routed else ""
    choices = ", ".join(f"`{s}`" for s in (*map(str, model.versions), *sorted(model.selectors)))
    return f"Answered by `stable`{now}, or by what the header `X-Model-Version` names: {choices}."


def version_line(model: CatalogModel, version: int) -> str:
    names = ", ".join(f"`{name}`" for name in sorted(model.names_of(version)))
    return f"Always version {version}" + (f", also called {names}" if names else "") + "."


def version_text(manifest: Manifest | None) -> str:
    """What the version takes, in a table, and what is known about it, as Markdown."""
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
    """What the numbers and labels of the answer are called, a paragraph for each list of names."""
    order = ", in the order of `probability`" if output.probability else ""
    found = {
        f"**Classes{f' of `{one.name}`' if one.name else ''}**{order}": one.classes
        for one in output.with_classes
    }
    found["**The numbers of `prediction`**, in their order"] = output.components
    found["**Also in the reply, under `scores`**"] = tuple(score.name for score in output.scores)
    return [
        f"{what}: {', '.join(f'`{name}`' for name in names[:MAX_LISTED])}\n"
        for what, names in found.items()
        if names
    ]


def _table(heading: str, columns: tuple[Column, ...]) -> str:
    """The columns as a table, without what no column has anything to say about."""
    listed = columns[:MAX_LISTED]
    table = {
        heading: [f"**{plain(c.name)}**" for c in listed],
        "Takes": [plain(describe(c)) for c in listed],
        "Seen in training": [c.seen for c in listed],
        "Default": ["" if c.default is None else plain(str(c.default)) for c in listed],
        "What it is": [plain(c.description) for c in listed],
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
    """Text that Markdown shows as it is, on one line."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))
