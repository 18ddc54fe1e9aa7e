"""The regression check: ratios of an older run against this one's, as machines differ in rates."""

from __future__ import annotations

import pandas as pd

from benchmarks.report.figures import OWN, Figures
from benchmarks.report.text import percent, spread
from benchmarks.results import Results


def compare(old: Results, new: Results, threshold: float = 0.10) -> list[str]:
    """Lines about what became worse than in the older run; none where nothing did.

    A line for each closed-loop ratio (arm / plumbline) that grew by more than ``threshold`` and whose interval
    no longer touches the old one, the worst first; and for each cell that plumbline no longer answers. A single
    repeat has no interval, so the threshold alone decides. Raises ValueError for files without a common ratio.
    """
    before, after = Figures(old), Figures(new)
    then, now = _ratios(before), _ratios(after)
    common = then.index.intersection(now.index)
    lost = _lost(before, after)
    if common.empty and not lost:
        raise ValueError(f"{old.path.name} and {new.path.name} have no ratio in common")
    then, now = then.loc[common], now.loc[common]
    growth = (now.ratio / then.ratio - 1).sort_values(ascending=False)
    worse = growth[(growth > threshold) & (now["ratio low"] > then["ratio high"])[growth.index]]
    return [
        *lost,
        *(_line(then.loc[key], now.loc[key], share, before, after) for key, share in worse.items()),
    ]


def _ratios(figures: Figures) -> pd.DataFrame:
    """The closed-loop cells of other arms that have a ratio, by their key."""
    cells = figures.cells[(figures.cells.arm != OWN) & (figures.cells.kind != "open")]
    return cells.dropna(subset=["ratio"]).set_index("key", drop=False)


def _lost(before: Figures, after: Figures) -> list[str]:
    """What this project answered then, and was asked and did not answer now."""
    standing = after.arms.standing[OWN]
    if before.arms.standing[OWN] == "ranked" and OWN in after.results.arms and standing != "ranked":
        return [f"{OWN} is {standing} now: {after.arms.why[OWN]}"]
    answered = before.cells[before.cells.arm == OWN].key
    asked = {key for key, cell in after.results.cells.items() if cell["repeats"]} - set(after.cells.key)
    return [f"{key}: no answer any more" for key in answered if key in asked]


def _line(then: pd.Series, now: pd.Series, growth: float, before: Figures, after: Figures) -> str:
    own = after.cells.set_index("key").loc[now.own]
    notes = dict.fromkeys(remark for remark in (now.remarks, own.remarks) if remark)
    if before.arms.digest[now.arm] != after.arms.digest[now.arm]:
        notes = {"its own files changed": None, **notes}
    ratios = f"{spread(then, 'ratio')} then, {spread(now, 'ratio')} now ({percent(growth)} worse)"
    return f"{now.key} for one request of {OWN}: {ratios}{'; but ' if notes else ''}{', '.join(notes)}"
