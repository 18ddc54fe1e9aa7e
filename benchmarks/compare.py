"""Did this project fall back against its peers since an older run? Ratios are compared, not rates: machines differ."""

from __future__ import annotations

from typing import Any

from benchmarks import summary
from benchmarks.results import Figure, Results
from benchmarks.summary import OWN
from benchmarks.wording import interval, percent, times

Key = tuple[Any, ...]


def compare(old: Results, new: Results, threshold: float = 0.10) -> list[str]:
    """A line for each ratio (arm / plumbline, in one closed-loop cell) that grew by more than ``threshold`` and whose
    interval no longer touches the old one; the worst first. A cell of this project that has no figure any more is a
    line too. Raises ValueError when the files have no ratio in common.

    With a single repeat there is no interval, so the threshold alone decides.
    """
    before, after = _ratios(old), _ratios(new)
    common = [key for key in before if key in after]
    lost = _lost(old, new)
    if not common and not lost:
        raise ValueError(f"{old.path.name} and {new.path.name} have no ratio in common")
    found = []
    for key in common:
        growth = after[key].median / before[key].median - 1
        if growth > threshold and after[key].low > before[key].high:
            found.append((growth, _line(key, before[key], after[key], growth, old, new)))
    return [*lost, *(line for _, line in sorted(found, key=lambda one: -one[0]))]


def _ratios(results: Results) -> dict[Key, Figure]:
    """(arm, then the load) -> ratio, for every closed loop that both the arm and this project answered."""
    found: dict[Key, Figure] = {}
    for cell in results.cells.values():
        if cell["arm"] != OWN or cell["kind"] == "open":
            continue
        load = {name: cell[name] for name in ("model", "connections", "kind", "rows", "workers")}
        for line in summary.lines(results, **load):
            if line.arm != OWN and line.ratio:
                found[line.arm, *load.values()] = line.ratio
    return found


def _lost(old: Results, new: Results) -> list[str]:
    """What this project answered then, and was asked and did not answer now."""
    if summary.standing(old, OWN) == "ranked" and OWN in new.arms and summary.standing(new, OWN) != "ranked":
        return [f"{OWN} is {summary.standing(new, OWN)} now: {summary.reason(new, OWN)}"]
    found = []
    for key, cell in old.cells.items():
        asked = new.cells.get(key, {}).get("repeats")
        if cell["arm"] == OWN and asked and _answered(cell["repeats"]) and not _answered(asked):
            found.append(f"{key}: no answer any more")
    return found


def _answered(repeats: list[dict[str, Any]]) -> bool:
    return any(repeat.get("answered") for repeat in repeats)


def _line(key: Key, before: Figure, after: Figure, growth: float, old: Results, new: Results) -> str:
    arm, model, connections, kind, rows, workers = key
    text = (
        f"{arm} for one request of {OWN}, {model}, {rows} rows, {connections} connections, {kind}, {workers} workers: "
        f"{_shown(before)} then, {_shown(after)} now ({percent(growth)} worse)"
    )
    changed = old.arms.get(arm, {}).get("digest") != new.arms.get(arm, {}).get("digest")
    remarks = [remark for line in _cells(new, key) for remark in line.remarks]
    notes = [*(["its own files changed"] if changed else []), *dict.fromkeys(remarks)]
    return text + (f"; but {', '.join(notes)}" if notes else "")


def _cells(results: Results, key: Key) -> list[summary.Line]:
    arm, model, connections, kind, rows, workers = key
    found = summary.lines(results, model, connections, kind, rows=rows, workers=workers)
    return [line for line in found if line.arm in (arm, OWN)]


def _shown(figure: Figure) -> str:
    return times(figure) + (f" [{interval(figure)}]" if interval(figure) else "")
