"""How does one plot or table of the report come from the figures? Each function draws one, or None where nothing was measured."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from benchmarks import summary, wording
from benchmarks.charts import Axis, Bar, Series, bars, line_chart, log_axis, percentile_axis
from benchmarks.findings import failures, meets_goal
from benchmarks.plan import GOAL_CONNECTIONS, GOAL_RATE, OPEN_SHARES, PICKED
from benchmarks.results import Figure, Results, bootstrap
from benchmarks.summary import GOAL_P99_MS, MODEL_TITLES, MODEL_WORDS, OWN, Line
from benchmarks.wording import median, number, percent, times, with_interval

WIDE, HALF = 1070, 520


@dataclass(frozen=True)
class Table:
    """``words`` are the columns of text; ``classes`` has the class of each row, if any."""

    head: Sequence[str]
    rows: Sequence[Sequence[Any]]
    words: Sequence[int] = (0,)
    sortable: bool = False
    row_classes: Sequence[str] = ()

    @property
    def classes(self) -> Sequence[str]:
        """One for each row."""
        return self.row_classes or [""] * len(self.rows)


@dataclass(frozen=True)
class Drawing:
    """A plot with its figures, or a table alone."""

    title: str
    plot: Markup | None = None
    table: Table | None = None
    notes: Sequence[str] = ()


def throughput(results: Results, model: str, width: int, **load: Any) -> Drawing | None:
    """Bars of requests/s, or of rows/s where a request has several."""
    found = summary.lines(results, model, **load)
    if not found:
        return None
    rows = int(load.get("rows", 1))

    def said(line: Line) -> str:
        gap = (
            f" ({interval})"
            if (interval := wording.interval(_scaled(line.rate, rows))) and width == WIDE
            else ""
        )
        ratio = f"  {times(line.ratio)}" if line.arm != OWN and line.ratio else ""
        return number(line.speed * rows) + gap + ratio

    title = MODEL_TITLES[model]
    if load:
        what = f"{rows} rows" if rows > 1 else wording.connections(load["connections"])
        title = f"{MODEL_WORDS[model]}, {what}"
    plot = bars([_bar(results, ln, _scaled(ln.rate, rows), said(ln)) for ln in found], title, width)
    return Drawing(title, plot, notes=[*_remarks(found), *(_unranked(results) if not load else [])])


def _scaled(figure: Figure, by: float) -> Figure:
    return Figure(figure.median * by, figure.low * by, figure.high * by, figure.repeats, figure.doubtful)


def _bar(results: Results, line: Line, figure: Figure, said: str) -> Bar:
    form = str(results.arms[line.arm].get("form", "tuned"))
    hint = "; ".join([str(results.arms[line.arm].get("note", "")), *line.remarks])
    kind = "own" if line.arm == OWN else form
    return Bar(line.arm + wording.marks(line), figure.median, figure.low, figure.high, kind, said, hint)


def _remarks(found: Sequence[Line]) -> list[str]:
    told: dict[str, list[str]] = {}
    for line in found:
        for remark in line.remarks:
            told.setdefault(remark, []).append(line.arm)
    return [f"‡ {', '.join(arms)}: {remark}." for remark, arms in told.items()]


def _unranked(results: Results) -> list[str]:
    absent = summary.unranked(results)
    named = [f"{arm} ({place})" for arm, place, _ in absent]
    return [f"Not ranked: {', '.join(named)}; the reasons are at the end."] if named else []


def _picked(found: Sequence[Line]) -> list[Line]:
    """The arms that a reader would pick from, or all where few of those were measured."""
    picked = [line for line in found if line.arm in PICKED]
    return picked if len(picked) >= 4 else list(found)


def _curves(found: Sequence[Line], title: str, goal: float | None) -> Drawing | None:
    curves = {line: curve for line in _picked(found) if len(curve := line.curve()) > 1}
    if not curves:
        return None
    y = log_axis("milliseconds", [ms for curve in curves.values() for _, ms in curve if ms > 0])
    x = percentile_axis(max(curve[-1][0] for curve in curves.values()))
    plot = line_chart([Series(ln.arm, c) for ln, c in curves.items()], x, y, title, goal=goal, width=HALF)
    quantiles = ("p50", "p95", "p99", "p99.9")
    rows = [(ln.arm + wording.marks(ln), *(number(ln.latency(q)) for q in quantiles)) for ln in curves]
    lost = [f"{ln.arm} {percent(ln.answered_share)}" for ln in curves if ln.answered_share < 0.999]
    notes = [f"Of the answered requests only; answered were: {', '.join(lost)}."] if lost else []
    return Drawing(title, plot, Table(("arm, ms", *quantiles), rows), [*notes, *_remarks(list(curves))])


def goal_curves(results: Results, models: Sequence[str]) -> list[Drawing]:
    """Percentiles at the service goal's rate: the same load for every arm."""
    titles = {
        m: f"{MODEL_WORDS[m]}, {GOAL_RATE:,.0f} requests/s due over {GOAL_CONNECTIONS:,} connections"
        for m in models
    }
    found = [_curves(summary.goal_lines(results, m), titles[m], GOAL_P99_MS) for m in models]
    return [drawing for drawing in found if drawing]


def closed_curves(results: Results, model: str) -> Drawing | None:
    """Percentiles at 64 connections."""
    return _curves(
        summary.lines(results, model), f"{MODEL_WORDS[model]}, 64 connections in a closed loop", None
    )


def offered(results: Results, model: str, quantile: str) -> Drawing | None:
    """A latency quantile against the offered load, each arm's knee ringed."""
    by_arm: dict[str, list[Line]] = {}
    for share in OPEN_SHARES:
        for line in summary.lines(results, model, 64, "open", share=share):
            by_arm.setdefault(line.arm, []).append(line)
    if not by_arm:
        return None
    series, rows = [], []
    for arm, found in by_arm.items():
        bend = summary.knee(found)
        points = [(line.offered or 0.0, line.latency(quantile)) for line in found]
        series.append(Series(arm, points, ring=found.index(bend) if bend else None, dots=True))
        rows.append((arm, *(f"{number(ms)} at {number(at)}/s" for at, ms in points)))
    x: Axis = log_axis("requests/s offered", [at for s in series for at, _ in s.points])
    y = log_axis(f"{quantile}, milliseconds", [ms for s in series for _, ms in s.points])
    title = f"{MODEL_WORDS[model]}, {quantile}"
    lost = [
        f"{ln.arm} answered {percent(ln.answered_share)} at {number(ln.offered)}/s"
        for found in by_arm.values()
        for ln in found
        if ln.answered_share < 0.99
    ]
    notes = [f"Not all answered: {'; '.join(lost)}."] if lost else []
    short = [row for row in rows if len(row) == len(OPEN_SHARES) + 1]
    table = Table(("arm", *(f"{share:.0%}" for share in OPEN_SHARES)), short)
    plot = line_chart(series, x, y, title, goal=GOAL_P99_MS if quantile == "p99" else None, width=HALF)
    return Drawing(title, plot, table, notes)


def goal(results: Results, model: str) -> Drawing | None:
    """Who meets the service goal."""
    found = sorted(
        summary.goal_lines(results, model), key=lambda ln: (ln.answered_share < 0.999, ln.latency("p99"))
    )
    rows = [
        (
            ln.arm + wording.marks(ln),
            percent(ln.answered_share),
            number(ln.latency("p50")),
            number(ln.latency("p99")),
            number(median(ln.memory)),
            wording.ABSENT if ln.standing == "floor" else "met" if meets_goal(ln) else "missed",
        )
        for ln in found
    ]
    head = ("arm", "answered", "p50 ms", "p99 ms", "memory MiB", "goal")
    table = Table(head, rows, row_classes=_classes(found))
    return Drawing(MODEL_TITLES[model], table=table, notes=_remarks(found)) if found else None


def failed(results: Results) -> list[Drawing]:
    """What was not answered, and where."""
    found = failures(results)
    if not found:
        return [Drawing("None", notes=["Every request of every load was answered."])] if results.cells else []
    head = (
        "arm",
        "requests",
        "errors",
        "time-outs",
        "share",
        "loads with the largest share, and loads that did not finish",
    )
    rows = [
        (
            f.arm,
            f"{f.sent:,}",
            f"{f.errors:,}",
            f"{f.timeouts:,}",
            percent(f.share),
            "; ".join(
                [f"{load} ({percent((e + t) / due)})" for load, e, t, due in f.loads[:4]] + list(f.broken[:3])
            ),
        )
        for f in found
    ]
    classes = ["own" if f.arm == OWN else "" for f in found]
    shown = [
        Bar(f.arm, f.share, f.share, f.share, "own" if f.arm == OWN else "tuned", percent(f.share))
        for f in found
    ]
    plot = bars(shown, "share of requests that failed", WIDE)
    return [
        Drawing("Share of all requests", plot),
        Drawing("Where", table=Table(head, rows, words=(0, 5), row_classes=classes)),
    ]


def costs(results: Results, model: str) -> list[Drawing]:
    """CPU, memory and cold start, least first."""
    ranked = [line for line in summary.lines(results, model) if line.standing == "ranked"]

    def start(line: Line) -> Figure | None:
        found = summary.cold_start(results, line.arm, model)
        return Figure(statistics.median(found), *bootstrap(found), len(found)) if found else None

    figures: list[tuple[str, Callable[[Line], Figure | None]]] = [
        ("CPU seconds for 1000 requests", lambda line: line.cpu),
        ("memory, MiB", lambda line: line.memory),
        ("cold start, seconds", start),
    ]
    drawings = []
    for title, value in figures:
        known = sorted(((f, ln) for ln in ranked if (f := value(ln))), key=lambda pair: pair[0].median)
        if known:
            shown = [_bar(results, ln, f, number(f.median)) for f, ln in known]
            drawings.append(Drawing(f"{MODEL_WORDS[model]}, {title}", bars(shown, title, HALF)))
    return drawings


def two_workers(results: Results, models: Sequence[str]) -> list[Drawing]:
    """What two workers answer together."""
    drawings = []
    for model in models:
        found = summary.lines(results, model, 64, "two-workers", workers=2)
        one = {line.arm: line.speed for line in summary.lines(results, model)}

        def said(line: Line, one: dict[str, float] = one) -> str:
            gain = f"  ×{number(line.speed / one[line.arm])} of one worker" if line.arm in one else ""
            return with_interval(line.rate) + gain

        if found:
            plot = bars([_bar(results, ln, ln.rate, said(ln)) for ln in found], "two workers", WIDE)
            drawings.append(Drawing(MODEL_TITLES[model], plot, notes=_remarks(found)))
    return drawings


def figures(results: Results, model: str) -> Drawing | None:
    """Every figure of the main load, to be sorted."""
    found = summary.lines(results, model)
    quantiles = ("p50", "p95", "p99", "p99.9")
    head = ("arm", "requests/s", "interval", "ratio", "its interval", *(f"{q} ms" for q in quantiles))
    head = (*head, "CPU s / 1000", "MiB", "cold start s", "failed")
    rows = []
    for ln in found:
        starts = summary.cold_start(results, ln.arm, model)
        latencies = (number(ln.latency(q)) for q in quantiles)
        costs = (
            median(ln.cpu),
            median(ln.memory),
            starts and statistics.median(starts),
        )
        rows.append(
            (
                ln.arm + wording.marks(ln),
                number(ln.speed),
                wording.interval(ln.rate) or wording.ABSENT,
                times(ln.ratio),
                (wording.interval(ln.ratio) if ln.arm != OWN else "") or wording.ABSENT,
                *latencies,
                *(number(cost or None) for cost in costs),
                f"{ln.count('errors') + ln.count('timeouts'):,}",
            )
        )
    table = Table(head, rows, sortable=True, row_classes=_classes(found))
    return Drawing(MODEL_TITLES[model], table=table, notes=_remarks(found)) if found else None


def _classes(found: Sequence[Line]) -> list[str]:
    return ["own" if ln.arm == OWN else "floor" if ln.standing == "floor" else "" for ln in found]
