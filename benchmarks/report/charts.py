"""Static SVG charts: no script, no font, no address. Their colours are variables of the page's style."""

from __future__ import annotations

import re

import altair as alt
import pandas as pd
import vl_convert
from markupsafe import Markup

from benchmarks.plan import PICKED

#: What the colour of a bar says; ``ours`` is this project's other arm.
FORMS = ("own", "ours", "tuned", "tutorial", "floor")
TEXT = alt.Color(value="var(--fg)")


def bars(rows: pd.DataFrame, title: str, width: int) -> Markup:
    """Horizontal bars in the order of ``rows``: label, value, low, high, form and the text behind the bar.

    A floor far beyond the longest other bar is cut, which « behind its bar says.
    """
    longest = rows[rows.form != "floor"].high.max()
    limit = rows.high.max() if longest != longest else max(longest * 1.3, 1e-9)
    cut = rows.value > limit
    rows = rows.assign(
        shown=rows.value.clip(upper=limit),
        end=rows.high.clip(upper=limit),
        low=rows.low.where(~cut),
        high=rows.high.where(~cut),
        text=rows.text.where(~cut, "« " + rows.text),
    )
    places = alt.Chart(rows).encode(y=alt.Y("label", sort=None, title=None, axis=alt.Axis(minExtent=150)))
    colour = alt.Color("form", legend=None, scale=alt.Scale(domain=FORMS, range=_variables(FORMS)))
    scale = alt.Scale(domain=[0, limit * (1.35 if width > 600 else 1.6)], nice=False)
    return _svg(
        places.mark_bar(height=14).encode(x=alt.X("shown", axis=None, scale=scale), color=colour)
        + places.mark_rule(strokeWidth=1.3).encode(x="low", x2="high", color=TEXT)
        + places.mark_text(align="left", dx=6).encode(x="end", text="text", color=TEXT),
        title,
        width,
        alt.Step(21),
    )


def curves(
    points: pd.DataFrame, title: str, x: str, y: str, *, percentiles: bool = False, goal: float | None = None
) -> Markup:
    """A line for each arm through its points (arm, x, y; a ring where ``knee``), on logarithmic axes.

    ``percentiles`` gives each further nine of a percentile the same room: 90, 99, 99.9 %.
    """
    if percentiles:
        text = "format(100 * (1 - pow(10, -datum.value)), '.4~g') + '%'"
        axis = alt.X("x", title=x, axis=alt.Axis(values=[0.30103, 1, 2, 3, 4], labelExpr=text))
    else:
        axis = alt.X("x", title=x, scale=alt.Scale(type="log", nice=False), axis=alt.Axis(tickCount=5))
    arms = [arm for arm in PICKED if arm in set(points.arm)]
    colour = alt.Color("arm", title=None, scale=alt.Scale(domain=arms, range=_variables(arms)))
    base = alt.Chart(points).encode(
        x=axis, y=alt.Y("y", title=y, scale=alt.Scale(type="log", nice=False)), color=colour
    )
    floors = alt.condition(
        alt.FieldOneOfPredicate("arm", [a for a in arms if a.startswith("floor-")]),
        alt.value([3, 3]),
        alt.value([1, 0]),
    )
    width = alt.condition(alt.datum.arm == PICKED[0], alt.value(3), alt.value(1.6))
    chart = base.mark_line().encode(strokeDash=floors, strokeWidth=width)
    if not percentiles:
        chart += base.mark_point(filled=True, size=18)
        chart += base.transform_filter("datum.knee").mark_point(size=110)
    if goal is not None:
        line = alt.Chart(pd.DataFrame({"y": [goal]}))
        chart += line.mark_rule(strokeDash=[2, 4]).encode(y="y", color=alt.Color(value="var(--bad)"))
    return _svg(chart, title, 330, 300)


def _variables(names: object) -> list[str]:
    return [f"var(--{name})" for name in names]  # type: ignore[attr-defined]


def _svg(chart: alt.LayerChart, title: str, width: int, height: object) -> Markup:
    """The chart as an element of a page, without XML's namespaces: the page holds no address at all."""
    soft, line = "var(--soft)", "var(--line)"
    chart = (
        chart.properties(width=width, height=height)
        .configure(aria=False, background="transparent", font="system-ui, sans-serif", padding={"right": 30})
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=soft, titleColor=soft, gridColor=line, domainColor=line, tickColor=line, labelLimit=0
        )
        .configure_legend(labelColor="var(--fg)", labelLimit=0)
    )
    svg = vl_convert.vegalite_to_svg(chart.to_dict(), allowed_base_urls=[])
    svg = re.sub(r' xmlns(?::xlink)?="[^"]*"', "", svg)
    return Markup(svg).replace("<svg ", Markup('<svg role="img" aria-label="{}" ').format(title), 1)
