"""Tables inside pages that people write: a command replaces its own block and nothing else, so no figure is typed by hand."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.environments import ROOT

PERFORMANCE = ROOT / "docs" / "performance.md"


def replace_block(name: str, text: str, page: Path = PERFORMANCE) -> None:
    """Put ``text`` between the page's two comments of this name; raises ValueError when they are not there."""
    found = page.read_text()
    pattern = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- /{re.escape(name)} -->)", re.DOTALL)
    if not pattern.search(found):
        raise ValueError(f"{page} has no block {name!r}")
    page.write_text(pattern.sub(lambda match: f"{match[1]}{text.strip()}\n{match[2]}", found))
