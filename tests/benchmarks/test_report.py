"""report.html: one file without the network, whose plots and verdicts follow the figures."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks.charts import Bar, Series, bars, line_chart, log_axis, percentile_axis
from benchmarks.plan import quick_plan
from benchmarks.report import report, write_report
from benchmarks.results import Results
from tests.benchmarks.made_up_results import FLAWED, MADE_UP_CPU, made_up, partial, with_missing_arms

SECTIONS = (
    "findings",
    "throughput",
    "connections",
    "rows",
    "percentiles",
    "load",
    "goal",
    "failures",
    "cost",
    "workers",
    "table",
    "method",
)


@pytest.fixture(scope="module")
def page() -> str:
    return report(made_up())


@pytest.fixture(scope="module")
def flawed() -> str:
    return report(with_missing_arms())


def section(page: str, name: str) -> str:
    return page.split(f'<section id="{name}">')[1].split("</section>")[0]


def test_the_page_is_written_whole(tmp_path: Path) -> None:
    write_report(made_up(plan=quick_plan(["plumbline", "grpc"])), tmp_path / "new" / "report.html")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["report.html"]
    assert (tmp_path / "new" / "report.html").read_text().endswith("</html>")


def test_it_asks_no_host_and_no_other_file(page: str) -> None:
    assert not re.search(r"""(?:src|href|action)\s*=\s*["'](?!#)""", page)
    assert not re.search(r"@import|url\(|<link|<img|<iframe|fetch\(|XMLHttpRequest", page)
    assert "http" not in re.sub(r"<title>.*?</title>|httptools|[^<>]*httptools[^<>]*", "", page)


def test_every_section_is_there_and_says_what_it_does_not_show(page: str) -> None:
    assert re.findall(r'<section id="(\w+)">', page) == list(SECTIONS)
    for name in set(SECTIONS) - {"findings", "method"}:
        assert section(page, name).count("What this does not show.") == section(page, name).count("<figure>")


def test_every_plot_is_well_formed_and_named(page: str) -> None:
    plots = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(plots) > 30
    for plot in plots:
        root = ET.fromstring(plot)
        assert root.get("aria-label") and "NaN" not in plot and "None" not in plot


def test_the_header_has_the_machine_the_commits_and_the_generator(page: str) -> None:
    head = page.split("</header>")[0]
    assert MADE_UP_CPU in head and head.count("0123456789ab") == 2 and "(with changes)" in head
    assert "Generator, at its busiest" in head and 'class="banner grave"' not in head


def test_a_busy_generator_or_shared_cores_give_a_red_banner(flawed: str) -> None:
    assert '<div class="banner grave"><b>The generator was over 90% busy.</b>' in flawed
    results = made_up(plan=quick_plan(["plumbline", "grpc"]))
    results.machine["cores"] = 1
    assert '<div class="banner grave"><b>Do not rank by these figures.</b>' in report(results)


def test_a_partial_result_says_so_without_a_red_banner() -> None:
    text = report(partial(FLAWED))
    assert '<div class="banner"><b>Partial.</b>' in text and 'class="banner grave"' not in text
    assert "rf: all 10" in section(text, "method") and "too few repeats" in text


def test_wrong_and_unmeasured_arms_are_listed_but_have_no_bar(flawed: str) -> None:
    assert not re.search(r'class="name"[^>]*>(?:kserve|mlserver|ray-serve)[†‡]?<', flawed)
    told = re.search(r"Not ranked: ([^;<]+);", section(flawed, "throughput"))
    assert told and {"ray-serve (not measured)", "mlserver (wrong)"} <= set(told[1].split(", "))
    assert "no matching distribution found" in section(flawed, "method")
    assert "label 1, not 0" in section(flawed, "method")


def test_marks_are_at_the_names(flawed: str) -> None:
    names = set(re.findall(r'class="name"[^>]*>([^<]+)<', section(flawed, "throughput")))
    assert {"plumbline", "grpc†‡", "grpc†", "floor-asgi‡"} <= names


def test_plumbline_alone_is_highlighted_and_floors_are_dashed(page: str) -> None:
    plots = section(page, "throughput")
    own = re.findall(r'<g class="row own".*?class="name"[^>]*>([^<]+)<', plots, re.DOTALL)
    floors = re.findall(r'<g class="row floor".*?class="name"[^>]*>([^<]+)<', plots, re.DOTALL)
    assert own == ["plumbline"] * 3
    assert floors == ["floor-fast-lane", "floor-asgi", "floor-flask", "floor-fastapi", "floor-wsgi"]


def test_failures_are_shown(flawed: str) -> None:
    shown = section(flawed, "failures")
    assert "flask-tutorial-sync" in shown and "2,610" in shown and "the client program did not end" in shown


def test_text_from_a_result_is_escaped() -> None:
    results = made_up(plan=quick_plan(["plumbline", "grpc"]))
    results.arms["grpc"].update(status="not measured", reason="<script>alert(1)</script> & `more`")
    results.machine["cpu"] = "<script>alert(2)"
    text = report(results)
    assert "<script>alert" not in text and "&lt;script&gt;alert(1)" in text


def test_an_empty_result_is_still_a_page() -> None:
    text = report(Results(Path("nothing.json")))
    assert "Nothing of this was measured yet." in text and "plumbline has no figures here" in text


def test_no_loads_but_the_main_one_leave_the_other_sections_empty() -> None:
    text = report(made_up(plan=quick_plan(["plumbline", "grpc"]), repeats=1))
    assert "<svg" in section(text, "throughput") and "<svg" not in section(text, "load")


def widths(plot: str) -> list[float]:
    return [float(w) for w in re.findall(r'class="bar"[^>]* width="([\d.]+)"', plot)]


def test_bars_are_as_long_as_their_values_and_a_cut_floor_is_drawn_cut() -> None:
    rows = [
        Bar("a", 100, 90, 110, "own", "100"),
        Bar("b", 50, 50, 50, "tuned", "50"),
        Bar("f", 9999, 9999, 9999, "floor", "9999"),
    ]
    plot = bars(rows, "some")
    a, b, floor = widths(plot)
    assert a == pytest.approx(2 * b, rel=0.01) and a < floor < 2 * a
    assert plot.count('class="cut"') == 1


def test_the_percentile_axis_gives_each_nine_the_same_room() -> None:
    axis = percentile_axis(99.99)
    steps = [axis.place(p) for p in (0, 90, 99, 99.9, 99.99)]
    assert [b - a for a, b in itertools.pairwise(steps)] == pytest.approx([0.25] * 4)


def test_labels_do_not_cover_each_other() -> None:
    series = [Series(f"arm-{i}", [(1.0, 5.0 + i / 1000), (10.0, 6.95 + i / 1000)]) for i in range(12)]
    x, y = log_axis("x", [1.0, 10.0]), log_axis("y", [5.0, 7.0])
    plot = line_chart(series, x, y, "some")
    places = sorted(float(v) for v in re.findall(r'class="end"[^>]* y="([\d.]+)"', plot))
    assert len(places) == 12 and places[0] >= 12
    assert all(b - a > 13 for a, b in itertools.pairwise(places))
