"""How are figures written: so many digits, thin intervals, and the same marks on every page?"""

from __future__ import annotations

from benchmarks.results import Figure
from benchmarks.summary import Line

LABEL_ONLY = "label only"
MARK_LABEL_ONLY = "†"
MARK_DOUBTFUL = "‡"
MARK_FLOOR = "floor"
ABSENT = "–"


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


def median(figure: Figure | None) -> float | None:
    """The middle of a figure that may be missing."""
    return None if figure is None else figure.median


def interval(figure: Figure | None) -> str:
    """``low–high``; empty for a single repeat, which has none."""
    if figure is None or figure.repeats < 2:
        return ""
    return f"{number(figure.low)}–{number(figure.high)}"


def with_interval(figure: Figure | None) -> str:
    """``median [low–high]``."""
    if figure is None:
        return ABSENT
    return number(figure.median) + (f" [{interval(figure)}]" if interval(figure) else "")


def spread(values: list[float]) -> str:
    """``least–most``, or the one value that both are."""
    shown = list(dict.fromkeys(number(v) for v in (min(values), max(values)))) if values else [ABSENT]
    return "–".join(shown)


def times(figure: Figure | None) -> str:
    """A ratio: ``×1.26``."""
    return ABSENT if figure is None else f"×{number(figure.median)}"


def percent(share: float) -> str:
    """A share with a decimal where it matters, and never 100 % for less than all."""
    text = f"{share:.1%}" if 0.9 <= share < 1 or 0 < share < 0.1 else f"{share:.0%}"
    return "> 99.9%" if share < 1 and text == "100.0%" else "< 0.1%" if share > 0 and text == "0.0%" else text


def marks(line: Line) -> str:
    """The signs behind an arm's name: † gives labels only, ‡ is doubtful."""
    return (MARK_LABEL_ONLY if line.label_only else "") + (MARK_DOUBTFUL if line.remarks else "")


def named(line: Line) -> str:
    """An arm's name with the sign of labels only, as it stands in sentences."""
    return line.arm + (MARK_LABEL_ONLY if line.label_only else "")


def connections(count: int) -> str:
    """``1 connection``, ``64 connections``."""
    return f"{count:,} connection{'s' if count != 1 else ''}"


def listed(names: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "none"
