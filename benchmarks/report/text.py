"""How a figure, an arm's name and a table are written: the same digits, intervals and marks on every page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup, escape

from benchmarks.report.figures import LABEL_ONLY

TEMPLATES = Path(__file__).parent / "templates"
ABSENT = "–"
DOUBTFUL = "‡"


#: The head of a column -> a column of the cells, or a function of a row (a mapping).
Columns = Mapping[str, str | Callable[[Any], str]]


@dataclass(frozen=True)
class Table:
    """Columns of text. The first ``words`` columns are aligned to the left, the others are figures."""

    head: tuple[str, ...]
    rows: list[list[str]]
    title: str = ""
    words: int = 1
    notes: tuple[str, ...] = ()


def table(cells: pd.DataFrame, columns: Columns, title: str = "", words: int = 1) -> Table:
    """A table of ``cells``: its columns are named, or written by a function of the row (a mapping).

    The remarks on doubtful rows follow the table as a note.
    """
    records = cells.to_dict("records")
    doubts = [f"{row['arm']}: {row['remarks']}" for row in records if row.get("remarks")]
    rows = [[spread(row, c) if isinstance(c, str) else c(row) for c in columns.values()] for row in records]
    return Table(tuple(columns), rows, title, words, (f"{DOUBTFUL} {'; '.join(doubts)}.",) if doubts else ())


def number(value: float | None) -> str:
    """Three significant digits, and whole numbers with a separator from 1000 on."""
    if value is None or value != value:
        return ABSENT
    if value == 0:
        return "0"
    if abs(value) >= 99.95:
        return f"{value:,.0f}"
    digits = next((d for least, d in ((9.995, 1), (0.0995, 2), (0.00995, 3)) if abs(value) >= least), None)
    return f"{value:.2g}" if digits is None else f"{value:.{digits}f}"


def percent(share: float) -> str:
    """A share with a decimal where it matters, and never 100 % for less than all."""
    text = f"{share:.1%}" if 0.9 <= share < 1 or 0 < share < 0.1 else f"{share:.0%}"
    return "> 99.9%" if share < 1 and text == "100.0%" else "< 0.1%" if share > 0 and text == "0.0%" else text


def spread(row: Mapping[str, Any], measure: str) -> str:
    """``median [low–high]`` of a figure, text and counts as they are.

    A single repeat and the ratio of an arm to itself have no interval.
    """
    value = row[measure]
    if isinstance(value, str):
        return value or ABSENT
    if isinstance(value, int):
        return f"{value:,}"
    sign = "×" if measure == "ratio" and value == value else ""
    alone = row.get("repeats", 1) < 2 or value != value or (sign and row["key"] == row["own"])
    ends = "–".join(number(row[f"{measure} {end}"]) for end in ("low", "high")) if not alone else ""
    return f"{sign}{number(value)}" + (f" [{ends}]" if ends else "")


def times(value: float | None) -> str:
    """A ratio: ``×1.26``."""
    return ABSENT if value is None or value != value else f"×{number(value)}"


def name(row: Mapping[str, Any]) -> str:
    """An arm's name with its marks: † answers labels only, ‡ has doubtful figures."""
    return f"{row['arm']}{row['mark']}{DOUBTFUL * bool(row['remarks'])}"


def listed(names: Iterable[str], none: str = "none") -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *rest, last = [*names] or [none]
    return f"{', '.join(rest)} and {last}" if rest else last


def _cell(text: str) -> str:
    """Text that cannot end its cell of a Markdown table or begin a tag: reasons come from other programs."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")


def _code(text: str) -> Markup:
    """HTML in which what stands between backticks is code."""
    parts = str(escape(text)).split("`")
    return Markup("".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(parts)))


def _kind(arm: str) -> str:
    """``own`` or ``floor`` for the rows that stand out, by the arm's name with its marks."""
    bare = arm.rstrip(LABEL_ONLY + DOUBTFUL)
    return "own" if bare.lower() == "plumbline" else "floor" if bare.startswith("floor-") else ""


_pages = jinja2.Environment(
    loader=jinja2.FileSystemLoader(TEMPLATES),
    autoescape=jinja2.select_autoescape(["html"]),
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)
_pages.filters |= {"cell": _cell, "code": _code, "kind": _kind}


def written(template: str, **values: Any) -> str:
    """A page or a text from ``templates``. In Markdown exactly one empty line divides blocks."""
    text = _pages.get_template(template).render(**values)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n" if template.endswith(".md") else text
