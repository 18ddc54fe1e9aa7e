"""What RESULTS.md and the report say, part by part: the same tables, and in the report the charts too."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from markupsafe import Markup

from benchmarks import plan
from benchmarks.environments import ROOT
from benchmarks.report import charts
from benchmarks.report.decision import decision_record, load_weights
from benchmarks.report.figures import GOAL_P99_MS, OURS, OWN, Figures, knee
from benchmarks.report.method import cautions, method
from benchmarks.report.text import (
    ABSENT,
    DOUBTFUL,
    TEMPLATES,
    Columns,
    Table,
    listed,
    name,
    number,
    percent,
    spread,
    table,
    times,
    written,
)
from benchmarks.results import Results

TITLES = {"lr": "Logistic regression", "hgb": "Gradient boosting", "rf": "Random forest"}
SIDES: Mapping[str, Mapping[str, int]] = {
    "1 connection": {"connections": 1},
    "1,000 connections": {"connections": 1000},
    "16 rows each": {"rows": 16},
    "256 rows each": {"rows": 256},
}
#: Kinds of load that only some arms have: what they are, and what the arm's own rate is compared with.
VARIANTS = {
    "two-workers": ("Two workers on the cores of the server and the generator", "to one worker"),
    "own-header": ("An X-Request-Id that was never sent before in each request", "to none"),
}
#: (what is compared, its measure, whether less is better, the load)
COMPARED: tuple[tuple[str, str, bool, Mapping[str, Any]], ...] = (
    ("requests/s, 64 connections", "rate", False, {}),
    *((f"requests/s, {words}", "rate", False, {"kind": "side", **load}) for words, load in SIDES.items()),
    ("requests/s, a header of its own in each", "rate", False, {"kind": "own-header"}),
    ("requests/s, two workers", "rate", False, {"kind": "two-workers", "workers": 2}),
    ("p99 ms, 64 connections", "p99", True, {}),
    ("CPU s for 1000 requests", "cpu", True, {}),
    ("memory MiB", "memory", True, {}),
    ("cold start s", "start", True, {}),
)
COSTS = {"cpu": "CPU seconds for 1000 requests", "memory": "MiB", "start": "seconds to the first answer"}
WIDE, HALF = 860, 300
#: (what stands behind the model in the title, measure, load)
Bars = Sequence[tuple[str, str, Mapping[str, Any]]]
PARTS = yaml.safe_load((TEMPLATES / "parts.yaml").read_text())


@dataclass(frozen=True)
class Part:
    """A chapter of both pages.

    hidden: what its figures do not show.
    charts: (title, SVG), drawn when they are read; None for a chapter that has none.
    """

    id: str
    title: str
    intro: str
    tables: Sequence[Table] = ()
    charts: Iterable[tuple[str, Markup]] | None = None
    hidden: str = ""


def write_all(results: Results, *, committed: bool) -> list[Path]:
    """Write the report beside the result file; of the committed result also the pages of the repository."""
    texts = {results.path.with_suffix(".html"): report(results)}
    if committed:
        texts[ROOT / "benchmarks" / "RESULTS.md"] = markdown(results)
        texts[ROOT / "docs" / "decision-record.md"] = decision_record(results, load_weights())
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.tmp")
        temporary.write_text(text)
        os.replace(temporary, path)
    return list(texts)


def report(results: Results) -> str:
    """One HTML file that needs no other: light and dark, with every chart drawn in it."""
    return _page("report.html", Figures(results))


def markdown(results: Results) -> str:
    """The tables of the report, for the repository."""
    return _page("results.md", Figures(results))


def _page(template: str, figures: Figures) -> str:
    return written(
        template, parts=list(parts_of(figures)), method=method(figures), cautions=cautions(figures)
    )


def parts_of(figures: Figures) -> Iterator[Part]:
    """Every chapter in reading order."""
    main = {model: cells for model in figures.models if len(cells := figures.load(model))}
    arrivals = {model: cells for model in figures.models if len(cells := _open_cells(figures, model))}
    yield _part("standing", *_standing(figures))
    tables = [_main(cells, TITLES[model]) for model, cells in main.items()]
    yield _part("throughput", "", tables, _bar_charts(figures, WIDE, [("", "rate", {})]))
    sides = [(f", {words}", "rate", {"kind": "side", **load}) for words, load in SIDES.items()]
    yield _part(
        "loads", "", [_other_loads(figures, model) for model in main], _bar_charts(figures, HALF, sides)
    )
    yield _part("percentiles", "", charts=_percentiles(figures))
    open_loops = [_open_loop(figures, cells, TITLES[model]) for model, cells in arrivals.items()]
    yield _part("arrivals", "", open_loops, _open_curves(arrivals))
    rates = ((plan.GOAL_RATE, plan.GOAL_CONNECTIONS), (plan.HIGH_RATE, plan.HIGH_CONNECTIONS))
    yield _part("goal", "", [_goal(figures, *rate) for rate in rates])
    yield _part("variants", "", [_variant(figures, kind) for kind in VARIANTS])
    costs: Bars = [(f", {words}", measure, {}) for measure, words in COSTS.items()]
    yield _part("cost", "", charts=_bar_charts(figures, HALF, costs))
    yield _part("failures", *_failures(figures))
    yield _part("absent", *_absent(figures))
    columns = {"arm": "arm", "form": "form", "what it is": "note", "versions": "versions", "files": "digest"}
    yield _part("arms", "", [table(figures.arms.reset_index(), columns, words=5)])


def _part(
    name: str, said: str, tables: Sequence[Table] = (), charts: Iterable[tuple[str, Markup]] | None = None
) -> Part:
    """The chapter of ``parts.yaml`` of this name; ``said`` follows its introduction."""
    prose = PARTS[name]
    intro = f"{prose['intro']} {said}".strip()
    return Part(name, prose["title"], intro, tables, charts, prose.get("hidden", ""))


def _standing(figures: Figures) -> tuple[str, list[Table]]:
    """Where Plumbline is ahead, loses, or cannot be told apart: measure by measure, every rival by name."""
    if why := figures.arms.why[OWN]:
        return f"{OWN} has no figures here ({why}), so nothing is compared with it.", []
    rows = [row for what in COMPARED for model in figures.models if (row := _compared(figures, model, *what))]
    ahead, level, behind = (sum(row[0] == sign for row in rows) for sign in "+=−")
    said = (
        f"{OWN} is ahead of every peer (+) in {ahead} of {len(rows)} comparisons, not told apart from at "
        f"least one (=) in {level}, and behind at least one (−) in {behind}. Two arms differ when the 95 % "
        f"interval of their quotient leaves 1 out. {listed(OURS)} are both ours: one ahead of the other "
        "is no loss."
    )
    head = ("", "what", "model", OWN, "place", "ahead of it", "not told apart from it")
    return said, [Table(head, rows, words=len(head))]


def _compared(
    figures: Figures, model: str, what: str, measure: str, less: bool, load: Mapping[str, Any]
) -> list[str] | None:
    """A row of ``standing``; None where Plumbline or its peers have no figure."""
    cells = figures.ranked(model, **load).dropna(subset=[measure]).sort_values(measure, ascending=less)
    rivals = cells[~cells.arm.isin(OURS)].to_dict("records")
    own = next((cell for cell in cells.to_dict("records") if cell["arm"] == OWN), None)
    if own is None or not rivals:
        return None
    groups: dict[str, list[str]] = {"ahead": [], "level": []}
    for rival in rivals:
        middle, low, high = figures.ratio(rival["key"], own["key"], measure)
        if low <= 1 <= high:
            groups["level"].append(f"{name(rival)} ({times(middle)})")
        elif (high < 1) == less:
            groups["ahead"].append(f"{name(rival)} ({times(middle)})")
    better = sum(
        (rival[measure] < own[measure]) == less for rival in rivals if rival[measure] != own[measure]
    )
    sign = "·" if own["repeats"] < 2 else "−" if groups["ahead"] else "=" if groups["level"] else "+"
    place = f"{better + 1} of {len(rivals) + 1}"
    names = ", ".join(groups["ahead"]) or "nobody", ", ".join(groups["level"]) or ABSENT
    figure = spread(own, measure) + DOUBTFUL * bool(own["remarks"])
    return [sign, what, TITLES[model].lower(), figure, place, *names]


def _main(cells: pd.DataFrame, title: str) -> Table:
    columns: Columns = {
        "arm": name,
        "requests/s": "rate",
        f"ratio to {OWN}": "ratio",
        "p50 ms": "p50",
        "p99 ms": "p99",
    }
    return table(
        cells, {**columns, "CPU s / 1000": "cpu", "memory MiB": "memory", "cold start s": "start"}, title
    )


def _by_arm(figures: Figures, cells: pd.DataFrame, columns: Mapping[Any, str], title: str) -> Table:
    """A table with a column for each value of ``load``, its cells from ``text``, in the order of the arms."""
    wide = (
        cells.pivot(index="arm", columns="load", values="text").reindex(columns=list(columns)).fillna(ABSENT)
    )
    rows = [[arm + figures.arms.mark[arm], *wide.loc[arm]] for arm in figures.arms.index if arm in wide.index]
    return Table(("arm", *columns.values()), rows, title)


def _other_loads(figures: Figures, model: str) -> Table:
    cells = pd.concat(
        figures.load(model, kind="side", **load).assign(load=words) for words, load in SIDES.items()
    )
    cells["text"] = [
        f"{number(row['rate'] * row['rows'])}{DOUBTFUL * bool(row['remarks'])} ({times(row['ratio'])})"
        for row in cells.to_dict("records")
    ]
    return _by_arm(figures, cells, {words: words for words in SIDES}, TITLES[model])


def _open_cells(figures: Figures, model: str) -> pd.DataFrame:
    cells = pd.concat(figures.load(model, 64, "open", share=share) for share in plan.OPEN_SHARES)
    knees = {arm: knee(own) for arm, own in cells.groupby("arm")}
    return cells.assign(bend=cells.arm.map(knees), load=cells.share)


def _open_loop(figures: Figures, cells: pd.DataFrame, title: str) -> Table:
    cells["text"] = [
        f"{number(row['p50'])} / {number(row['p99'])}{DOUBTFUL * bool(row['remarks'])}"
        f" ({number(row['offered'])}/s"
        + (f", {percent(row['answered_share'])} answered)" if row["answered_share"] < 1 else ")")
        for row in cells.to_dict("records")
    ]
    bends = cells.drop_duplicates("arm").assign(load="knee")
    bends["text"] = ["below the lowest" if b != b else f"{number(b)}/s" for b in bends.bend.astype(float)]
    heads: dict[Any, str] = {**{share: f"{share:.0%}" for share in plan.OPEN_SHARES}, "knee": "knee"}
    return _by_arm(figures, pd.concat([cells, bends]), heads, title)


def _open_curves(arrivals: Mapping[str, pd.DataFrame]) -> Iterator[tuple[str, Markup]]:
    for model, cells in arrivals.items():
        for quantile in ("p50", "p99") if len(cells) else ():
            points = cells[["arm"]].assign(
                x=cells.offered, y=cells[quantile], knee=cells.bend == cells.offered
            )
            title, goal = f"{TITLES[model]}, {quantile}", GOAL_P99_MS if quantile == "p99" else None
            yield title, charts.curves(points, title, "requests/s offered", f"{quantile}, ms", goal=goal)


def _goal(figures: Figures, rate: float, connections: int) -> Table:
    columns: Columns = {
        "model": "model",
        "arm": name,
        "answered": lambda row: percent(row["answered_share"]),
        "p50 ms": "p50",
        "p99 ms": "p99",
        "memory MiB": "memory",
        "met": lambda row: ABSENT if row["standing"] == "floor" else "yes" if row["met"] else "no",
    }
    cells = pd.concat([figures.goal(m, rate, connections) for m in figures.models] or [figures.cells])
    return table(cells, columns, f"{rate:,.0f} requests/s due over {connections:,} connections", words=2)


def _variant(figures: Figures, kind: str) -> Table:
    title, words = VARIANTS[kind]
    cells = figures.cells[figures.cells.kind == kind]
    main = figures.cells[figures.cells.kind == "main"].set_index(["model", "arm"]).rate
    cells = cells.assign(
        gain=cells.rate / [main.get(at, math.nan) for at in zip(cells.model, cells.arm, strict=True)]
    )
    columns: Columns = {"model": "model", "arm": name, "requests/s": "rate", f"ratio to {OWN}": "ratio"}
    cells = cells.sort_values(["standing", "rate"], ascending=False)
    return table(cells, {**columns, words: lambda row: times(row["gain"])}, title, words=2)


def _failures(figures: Figures) -> tuple[str, list[Table]]:
    failures = figures.failures()
    columns: Columns = {"arm": "arm", "requests": "sent", "errors": "errors", "time-outs": "timeouts"}
    columns = {**columns, "share": lambda row: percent(row["share"]), "where": "where"}
    said = "" if len(failures) else "Every request of every load was answered."
    return said, [table(failures, columns)]


def _absent(figures: Figures) -> tuple[str, list[Table]]:
    """Arms without a place in the tables, and cells without a figure."""
    gone = figures.arms[figures.arms.why != ""].reset_index()
    missing = figures.missing()
    missing = missing[missing.standing.isin(["ranked", "floor"])]
    done = [f" ({n} of {figures.planned} repeats)" if n else "" for n in missing.done]
    cells = missing.assign(load=missing.load + done).groupby(["arm", "model"], sort=False).load.agg(", ".join)
    columns = {"arm": "arm", "model": "model", "rows (r), connections (c), kind of load": "load"}
    said = "" if len(gone) else "Every arm was measured and answers correctly. "
    said += f"{len(missing)} cells of the arms that were measured have no figure, or too few repeats."
    return said, [
        table(gone, {n: n for n in ("arm", "standing", "why")}, "Wrong, or not measured", words=3),
        table(cells.reset_index(), columns, "Cells without a figure, or with too few repeats", words=3),
    ]


def _bar_charts(figures: Figures, width: int, loads: Bars) -> Iterator[tuple[str, Markup]]:
    """A chart of each model and (words, measure, load); of costs without the floors and the least first."""
    for model in figures.models:
        for words, measure, load in loads:
            cells = figures.load(model, **load)
            if measure != "rate":
                cells = cells[cells.standing == "ranked"].dropna(subset=[measure]).sort_values(measure)
            if len(cells):
                yield _bars(figures, cells, measure, width, f"{TITLES[model]}{words}")


def _bars(figures: Figures, cells: pd.DataFrame, measure: str, width: int, title: str) -> tuple[str, Markup]:
    """A chart of a measure with its title. A rate is drawn in rows a second."""
    forms = {**figures.arms.form, **dict.fromkeys(OURS, "ours"), OWN: "own"}
    factor = cells.rows if measure == "rate" else 1
    data = pd.DataFrame({n: cells[f"{measure}{n}"] * factor for n in ("", " low", " high")})
    data = data.set_axis(["value", "low", "high"], axis=1).assign(form=cells.arm.map(forms))
    rows = cells.to_dict("records")
    data["label"] = [name(row) for row in rows]
    data["text"] = [
        (spread(row, measure) if width == WIDE else number(value))
        + (f"  {times(row['ratio'])}" if measure == "rate" and row["arm"] != OWN else "")
        for row, value in zip(rows, data.value, strict=True)
    ]
    return title, charts.bars(data, title, width)


def _percentiles(figures: Figures) -> Iterator[tuple[str, Markup]]:
    at_goal = f"{plan.GOAL_RATE:,.0f} requests/s due over {plan.GOAL_CONNECTIONS:,} connections"
    loads: list[tuple[str, pd.DataFrame, float | None]]
    loads = [(f"{TITLES[m]}, {at_goal}", figures.goal(m), GOAL_P99_MS) for m in figures.models]
    loads += [
        (f"{TITLES[m]}, 64 connections in a closed loop", figures.load(m), None) for m in figures.models
    ]
    for title, cells, goal in loads:
        points = [
            {"arm": cell.arm, "x": -math.log10(1 - min(reached, 99.999) / 100), "y": ms}
            for cell in cells[cells.arm.isin(plan.PICKED)].itertuples()
            for reached, ms in figures.curve(cell.key)
            if ms > 0
        ]
        if points:
            words = "share of requests answered within this time"
            yield title, charts.curves(pd.DataFrame(points), title, words, "ms", percentiles=True, goal=goal)
