"""The first lines that a user reads of a server: where it is, and a call that can be pasted into a shell."""

from __future__ import annotations

import shlex
from typing import Any

import orjson

from app.catalog.snapshot import read_snapshot
from app.config import Settings
from app.credentials import read_key
from models.store import Store


def banner(settings: Settings) -> str:
    """The lines that a ready server prints; raises ConfigError for an unusable key of the store."""
    base = settings.base_url
    lines = [
        "",
        "Plumbline is ready",
        f"  API   {base}/",
        *([f"  docs  {base}/docs/"] if settings.docs else []),
        f"  try   {_example(settings)}",
        "",
    ]
    return "\n".join(lines)


def curl(settings: Settings, path: str, body: Any) -> str:
    """A line that sends the body as JSON to a path of the server that the settings describe."""
    text = shlex.quote(orjson.dumps(body).decode())
    return f"curl -s {settings.base_url}{path} -H 'Content-Type: application/json' -d {text}"


def _example(settings: Settings) -> str:
    """A call of the default model, or of the first one where there is none."""
    snapshot = read_snapshot(Store(settings.store, key=read_key(settings)), settings.default_model)
    name = snapshot.default or next(iter(snapshot.models), None)
    if name is None:
        return f"curl -s {settings.base_url}/ready   (the store is empty: flask models publish --help)"
    path = "/predict" if snapshot.default else f"/models/{name}/predict"
    return curl(settings, path, snapshot.manifest(snapshot.resolve(name)).example["request"])
