"""Only the store's own package knows the paths of its files; other code has records."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from models.store import Store
from tests.toys import summing_draft

ROOT = Path(__file__).resolve().parents[3]
ROOM = "models/store/"
#: What belongs to the room alone; others use models.store, its lifecycle and its archive.
INSIDE = ("models.store.artifacts", "models.store.registry", "models.store.files")
#: What a version is called in the source. mypy finds the others: a record has no such attribute.
VERSIONS = {"record", "stored", "version", "draft", "found", "one", "other", "whole"}


def outside() -> Iterator[tuple[str, ast.AST]]:
    for package in ("app", "models", "schemas"):
        for path in sorted((ROOT / package).rglob("*.py")):
            where = path.relative_to(ROOT).as_posix()
            if not where.startswith(ROOM) and "artifacts" not in path.parts:
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                    yield f"{where}:{getattr(node, 'lineno', 0)}", node


def test_nobody_outside_asks_a_version_for_its_path() -> None:
    asked = {
        f"{where}: {ast.unparse(node)}"
        for where, node in outside()
        if isinstance(node, ast.Attribute) and node.attr == "path"
        if VERSIONS & set(re.findall(r"\w+", ast.unparse(node.value)))
    }
    assert asked == set()


def test_nobody_outside_imports_what_has_paths() -> None:
    imported = {
        f"{where}: {node.module}"
        for where, node in outside()
        if isinstance(node, ast.ImportFrom) and node.module in INSIDE
    }
    assert imported == set()


def test_a_record_offers_no_path(store: Store) -> None:
    draft = summing_draft()
    stored = store.add(draft.manifest, draft.files)
    for part in (stored, stored.files):
        public = (getattr(part, name) for name in dir(part) if not name.startswith("_"))
        assert not any(isinstance(value, Path) for value in public)
