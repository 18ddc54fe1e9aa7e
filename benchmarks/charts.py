"""Where does each bar, line and label of a plot go? Geometry here, SVG in ``templates``, colours in ``report.css``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
from markupsafe import Markup

from benchmarks.plan import PICKED

environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)

ROW = 24
LABEL_GAP = 13.5
CHARACTER = 6.7


@dataclass(frozen=True, slots=True)
class Bar:
    """One row: ``kind`` (own, tuned, tutorial, floor) sets the colour, ``said`` stands behind the bar."""

    label: str
    value: float
    low: float
    high: float
    kind: str
    said: str
    hint: str = ""


def bars(rows: Sequence[Bar], title: str, width: int = 760) -> Markup:
    """Horizontal bars with intervals. A floor well beyond the longest other bar is cut, and drawn so."""
    left = 12 + CHARACTER * max(len(row.label) for row in rows)
    right = 12 + CHARACTER * max(len(row.said) for row in rows)
    ranked = max((row.high for row in rows if row.kind != "floor"), default=0.0)
    longest = max(row.high for row in rows)
    full = min(longest, 1.3 * ranked) if ranked else longest
    scale = (width - left - right) / (full or 1.0)
    placed = [
        {
            "bar": row,
            "y": i * ROW,
            "width": min(row.value, full) * scale,
            "low": row.low * scale,
            "high": row.high * scale,
            "cut": row.value > full,
        }
        for i, row in enumerate(rows)
    ]
    text = environment.get_template("bars.svg").render(
        placed=placed, left=left, width=width, height=len(rows) * ROW + 4, row=ROW, title=title
    )
    return Markup(text)


@dataclass(frozen=True, slots=True)
class Axis:
    """``place`` maps a value to 0..1."""

    label: str
    ticks: Sequence[tuple[float, str]]
    place: Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Series:
    """One arm's line; ``ring`` is the index of the point that is marked."""

    name: str
    points: Sequence[tuple[float, float]]
    ring: int | None = None
    dots: bool = False
    colour: str = field(init=False, default="")

    def __post_init__(self) -> None:
        index = PICKED.index(self.name) if self.name in PICKED else None
        object.__setattr__(self, "colour", "other" if index is None else f"s{index}")


def log_axis(label: str, values: Sequence[float]) -> Axis:
    """From the values' own least to their most, a tick at 1, 2 and 5 of each decade, or at each decade when they are many."""
    low, high = math.log10(min(values)) - 0.05, math.log10(max(values)) + 0.05
    decades = range(math.floor(low), math.ceil(high) + 1)
    steps = (1, 2, 5) if high - low < 2.2 else (1,)
    ticks = [(step * 10.0**d, f"{step * 10.0**d:,g}") for d in decades for step in steps]
    span = max(high - low, 1e-9)
    shown = [(value, text) for value, text in ticks if low <= math.log10(value) <= high]
    return Axis(label, shown, _within(low, span))


def _within(low: float, span: float) -> Callable[[float], float]:
    return lambda value: (math.log10(max(value, 1e-12)) - low) / span


def percentile_axis(furthest: float) -> Axis:
    """log(1 / (1 - p)), up to the furthest percentile that is drawn."""
    marks = [50.0, 90.0, 99.0, 99.9, 99.99]
    end = max(_beyond(furthest), 1.0)
    ticks = [(p, f"{p:g}%") for p in marks if _beyond(p) <= end + 1e-9]
    return Axis("share of requests answered within this time", ticks, lambda p: _beyond(p) / end)


def _beyond(percent: float) -> float:
    return -math.log10(1 - min(percent, 99.999) / 100)


def line_chart(
    series: Sequence[Series],
    x: Axis,
    y: Axis,
    title: str,
    *,
    goal: float | None = None,
    width: int = 760,
    height: int = 380,
) -> Markup:
    """Lines with their names at the right end, this project's drawn last so that none hides it."""
    names = 14 + CHARACTER * max(len(s.name) for s in series)
    left, top, bottom = 58, 12, 46
    across, down = width - left - names, height - top - bottom

    def at(point: tuple[float, float]) -> tuple[float, float]:
        return left + across * x.place(point[0]), top + down * (1 - y.place(point[1]))

    drawn = []
    for one in sorted(series, key=lambda s: s.name == PICKED[0]):
        places = [at(point) for point in one.points]
        drawn.append({"series": one, "places": places, "end": places[-1], "label": places[-1][1]})
    _spread(drawn, top, top + down)
    text = environment.get_template("lines.svg").render(
        drawn=drawn,
        x=[(left + across * x.place(v), t) for v, t in x.ticks],
        y=[(top + down * (1 - y.place(v)), t) for v, t in y.ticks],
        goal=None if goal is None or not 0 <= y.place(goal) <= 1 else top + down * (1 - y.place(goal)),
        box={"left": left, "top": top, "right": left + across, "bottom": top + down},
        labels=(x.label, y.label),
        width=width,
        height=height,
        title=title,
    )
    return Markup(text)


def _spread(drawn: list[dict[str, object]], top: float, bottom: float) -> None:
    """Move the labels apart until none covers another, and none leaves the plot while there is room."""
    order = sorted(drawn, key=lambda d: float(d["label"]))  # type: ignore[arg-type]
    lowest = top - LABEL_GAP
    for item in order:
        lowest = max(float(item["label"]), lowest + LABEL_GAP)  # type: ignore[arg-type]
        item["label"] = lowest
    limit = bottom + LABEL_GAP
    for item in reversed(order):
        limit = min(float(item["label"]), limit - LABEL_GAP)  # type: ignore[arg-type]
        item["label"] = limit
