"""Tests that CONTRIBUTING's picture matches the code, and that large files are listed with a reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.house import CONTRIBUTING, drawn, missing_places
from tests.test_layers import ROOT, imported_names, sources

MOST_LINES, MOST_FUNCTION_LINES, MOST_IMPORTED = 500, 60, 15

#: What may be larger, and why.
REASONS: Mapping[str, str] = {
    "app/wiring.py imports": "the composition root knows every part",
    "app/factory.py imports": "the application is put together from every blueprint and hook",
    "app/cli/commands.py imports": "the group lists every command",
    "app/cli/canary.py canary": "the command is one table of options above a short body",
    "app/monitoring/metrics.py start": "the table of metrics: name, help, labels, buckets",
    "models/publishing/compiling/trees.py tree_library": "one C source, written from top to bottom",
    "models/publishing/publication.py imports": "a draft is put together from every finding about a model",
}


def large(root: Path) -> Iterator[str]:
    modules = sources(root)
    for module, path in modules.items():
        where = path.relative_to(root).as_posix()
        text = path.read_text(encoding="utf-8")
        if len(text.splitlines()) > MOST_LINES:
            yield f"{where} lines"
        for node in ast.walk(ast.parse(text)):
            if (
                isinstance(node, ast.FunctionDef)
                and (node.end_lineno or 0) - node.lineno >= MOST_FUNCTION_LINES
            ):
                yield f"{where} {node.name}"
        imported = {n if n in modules else n.rpartition(".")[0] for _, n in imported_names(path, module)}
        if len(imported & modules.keys() - {module}) > MOST_IMPORTED:
            yield f"{where} imports"


def test_the_picture_in_contributing_is_that_of_the_code() -> None:
    """``python -m tests.house`` draws it anew."""
    text = CONTRIBUTING.read_text(encoding="utf-8")
    assert text == drawn(text)


def test_every_place_that_contributing_names_exists() -> None:
    assert missing_places() == []


def test_what_is_large_has_a_reason_and_every_reason_is_needed() -> None:
    assert set(large(ROOT)) == set(REASONS)


def test_a_large_function_and_a_file_that_imports_much_are_found(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    for i in range(17):
        (tmp_path / f"app/part_{i}.py").write_text("")
    imports = "".join(f"import app.part_{i}\n" for i in range(17))
    body = "    x = 1\n" * 60
    (tmp_path / "app/all.py").write_text(f"{imports}def f():\n{body}")
    (tmp_path / "app/long.py").write_text("x = 1\n" * 501)
    assert set(large(tmp_path)) == {"app/all.py imports", "app/all.py f", "app/long.py lines"}
