"""Blocks of pages that people write: a command replaces its own and nothing else, so no figure is typed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.environments import ROOT

PERFORMANCE = ROOT / "docs" / "performance.md"


def replace_block(name: str, text: str, page: Path = PERFORMANCE) -> None:
    """Put ``text`` between the page's two comments of this name; raises ValueError where they are missing."""
    found = page.read_text()
    pattern = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- /{re.escape(name)} -->)", re.DOTALL)
    if not pattern.search(found):
        raise ValueError(f"{page} has no block {name!r}")
    page.write_text(pattern.sub(lambda match: f"{match[1]}{text.strip()}\n{match[2]}", found))


def table(head: Sequence[str], rows: Iterable[Sequence[object]], words: int = 1) -> str:
    """A Markdown table. Its first ``words`` columns are aligned to the left, the others are figures."""
    ruler = f"|{'---|' * words}{'---:|' * (len(head) - words)}"
    first, *rest = (f"| {' | '.join(map(str, row))} |" for row in (head, *rows))
    return "\n".join([first, ruler, *rest])
