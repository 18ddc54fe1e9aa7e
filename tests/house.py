"""CONTRIBUTING's picture of the house, drawn from the code: ``python -m tests.house`` writes it anew.

A unit is described by the first sentence of its own docstring; where to look for something is checked against the
functions that the named files define.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.test_layers import LEVELS, ROOT, sources

CONTRIBUTING = ROOT / "CONTRIBUTING.md"
BEGIN, END = "<!-- the house: drawn by `python -m tests.house` -->", "<!-- end of the house -->"
NAME_WIDTH, LINE_WIDTH = 20, 110

#: What somebody new looks for, and where it is: file and function, or class and method.
PLACES: Mapping[str, tuple[str, str]] = {
    "a request's head is read": ("app/worker/head.py", "Heads.find"),
    "a header of a prediction is read": ("app/api/predict.py", "answer"),
    "a body becomes rows": ("app/api/protocols/native.py", "Native.decode"),
    "a version is chosen": ("app/engine/engine.py", "Engine.route"),
    "a batch is cut": ("app/inference/batcher.py", "Batcher._take"),
    "a lane is chosen": ("app/inference/calibration.py", "rule_for"),
    "an answer is checked": ("app/inference/model.py", "checked"),
    "an error becomes a reply": ("app/api/errors.py", "handle"),
    "a version is loaded and verified": ("models/runtimes/loading.py", "load_version"),
    "the store is watched": ("app/catalog/follower.py", "Follower"),
    "what is routed and loaded is planned": ("app/catalog/routing.py", "plan"),
    "a promote waits": ("app/operations/operations.py", "Operations._wait"),
    "a version is published": ("models/publishing/__init__.py", "publish"),
}


def picture(root: Path = ROOT) -> str:
    """The block that CONTRIBUTING holds between its two marks."""
    modules = sources(root)
    lines = ["```text"]
    level = None
    for unit in sorted(LEVELS, key=lambda unit: (-LEVELS[unit], unit)):
        if level is not None and LEVELS[unit] != level:
            lines.append("")
        level = LEVELS[unit]
        lines += _row(unit, modules)
    lines += ["```", "", "| where | file | function |", "|---|---|---|"]
    lines += [f"| {what} | `{file}` | `{name}` |" for what, (file, name) in PLACES.items()]
    return "\n".join(lines)


def _row(unit: str, modules: Mapping[str, Path]) -> Iterator[str]:
    path = modules[unit]
    name = path.name if unit == "gunicorn.conf" else unit.replace(".", "/")
    if path.name == "__init__.py":
        name += "/"
    elif not name.endswith(".py"):
        name += ".py"
    wrapped = textwrap.wrap(_first_sentence(path), LINE_WIDTH - NAME_WIDTH)
    yield f"{name:<{NAME_WIDTH}}{wrapped[0]}"
    yield from (" " * NAME_WIDTH + line for line in wrapped[1:])


def _first_sentence(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(docstring.split("\n\n")[0].split()).replace("``", "")
    return re.split(r"(?<=\.)\s", paragraph)[0]


def missing_places(root: Path = ROOT) -> list[str]:
    """The places whose file does not define the function."""
    return [f"{file}: {name}" for file, name in PLACES.values() if name not in set(_defined(root / file))]


def _defined(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        if isinstance(node, ast.ClassDef):
            yield from (
                f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)
            )


def drawn(text: str) -> str:
    """CONTRIBUTING's text with the picture of today."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{picture()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    CONTRIBUTING.write_text(drawn(CONTRIBUTING.read_text(encoding="utf-8")), encoding="utf-8")
