"""RESULTS.md and the report: numbers as in the file, every loss by name, one file without the network."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks.environments import ROOT
from benchmarks.plan import Cell, full_plan, quick_plan
from benchmarks.report.decision import decision_record, load_weights
from benchmarks.report.figures import OURS, Figures
from benchmarks.report.pages import TITLES, markdown, parts_of, report, write_all
from benchmarks.report.text import number, percent
from benchmarks.results import Results
from tests.benchmarks.made_up_results import made_up, partial, with_missing_arms

ARMS = ("plumbline", "plumbline-compiled", "fastapi-batched", "flask-tutorial-sync", "grpc", "floor-wsgi")
FULL = ROOT / "benchmarks" / "results" / "full.json"


@pytest.fixture(scope="module")
def full() -> Results:
    return Results.load(FULL)


@pytest.fixture(scope="module")
def results_page(full: Results) -> str:
    return markdown(full)


def rows(page: str, heading: str, after: str = "") -> list[list[str]]:
    """The cells of the first table below a heading, behind some other text."""
    text = page.split(f"{after}\n", 1)[1].split(f"{heading}\n", 1)[1]
    found = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert found, heading
    return [[c.strip() for c in line.strip("|").split("|")] for line in found[0].splitlines()[2:]]


def bare(name: str) -> str:
    return re.sub(r"[*†‡]|\(floor\)", "", name).strip()


def standing(figures: Figures) -> list[list[str]]:
    """The rows of the first chapter."""
    return next(parts_of(figures)).tables[0].rows


def verdicts(speeds: dict[str, float], repeats: int = 3) -> list[str]:
    """The row of the main load in a run in which every arm has exactly the speed given."""
    plan = quick_plan(list(speeds), ["lr"])
    results = made_up(plan=plan, repeats=repeats, speed=lambda cell: speeds[cell.arm])
    return standing(Figures(results))[0]


def test_the_committed_pages_are_those_of_the_committed_results(full: Results, results_page: str) -> None:
    """`python -m benchmarks --only-report` writes them anew."""
    assert (ROOT / "benchmarks" / "RESULTS.md").read_text() == results_page
    assert (ROOT / "docs" / "decision-record.md").read_text() == decision_record(full, load_weights())


def test_the_numbers_in_the_tables_are_the_medians_of_the_file(results_page: str) -> None:
    page, cells = results_page, json.loads(FULL.read_text())["cells"]

    def median(key: str, *path: str) -> str:
        values = []
        for value in cells[key]["repeats"]:
            for name in path:
                value = value[name]
            values.append(value)
        return number(sorted(values)[1])

    for model, title in TITLES.items():
        shown = rows(page, f"### {title}", "## One row a request, 64 connections")
        assert len(shown) >= 18
        for row in shown:
            key = f"{bare(row[0])} {model} 1r 64c main 1w"
            assert row[1].split()[0] == median(key, "rate"), key
            assert row[3].split()[0] == median(key, "latency_ms", "p50"), key
            assert row[4].split()[0] == median(key, "latency_ms", "p99"), key
        for row in rows(page, f"### {title}", "## Other loads of the closed loop"):
            assert row[1].split()[0] == median(f"{bare(row[0])} {model} 1r 1c side 1w", "rate")
    for row in rows(page, "### 1,000 requests/s due over 1,000 connections"):
        assert row[4].split()[0] == median(
            f"{bare(row[1])} {row[0]} 1r 1000c open 1000/s 1w", "latency_ms", "p99"
        )


def test_every_loss_is_named(full: Results) -> None:
    """A rival whose interval lies beyond Plumbline's is in the column "ahead of it" for that load."""
    figures = Figures(full)
    shown = {(row[1], row[2]): row for row in standing(figures)}
    for what, kind, model in (
        ("requests/s, 64 connections", "main", "hgb"),
        ("requests/s, a header of its own in each", "own-header", "lr"),
        ("memory MiB", "main", "rf"),
    ):
        row = shown[what, TITLES[model].lower()]
        measure = "memory" if "memory" in what else "rate"
        cells = figures.ranked(model, kind=kind).set_index("arm")
        own = cells.loc["plumbline"]
        for arm, cell in cells.drop(index=list(OURS), errors="ignore").iterrows():
            ahead = (
                cell[f"{measure} high"] < own[f"{measure} low"]
                if measure == "memory"
                else cell["ratio low"] > 1
            )
            assert (f"{arm}{cell.mark} (×" in row[5]) is bool(ahead), (what, arm)
        assert row[0] == ("−" if row[5] != "nobody" else row[0])


@pytest.mark.parametrize(
    ("speeds", "sign", "place", "ahead", "level"),
    [
        ({"plumbline": 1000.0, "fastapi-batched": 2000.0}, "−", "2 of 2", "fastapi-batched (×", "–"),
        ({"plumbline": 2000.0, "fastapi-batched": 1000.0}, "+", "1 of 2", "nobody", "–"),
        ({"plumbline": 1000.0, "fastapi-batched": 1001.0}, "=", "of 2", "nobody", "fastapi-batched (×"),
        (
            {"plumbline": 1000.0, "plumbline-compiled": 3000.0, "fastapi-batched": 500.0},
            *("+", "1 of 2", "nobody", "–"),
        ),
    ],
)
def test_the_verdict_follows_the_numbers(
    speeds: dict[str, float], sign: str, place: str, ahead: str, level: str
) -> None:
    row = verdicts(speeds)
    assert row[0] == sign and place in row[4]
    assert row[5].startswith(ahead) and row[6].startswith(level)


def test_a_single_repeat_proves_nothing() -> None:
    assert verdicts({"plumbline": 2000.0, "fastapi-batched": 1000.0}, repeats=1)[0] == "·"


def test_a_doubtful_figure_of_plumbline_is_marked_in_the_verdicts_too() -> None:
    results = made_up(plan=quick_plan(["plumbline", "grpc"], ["lr"]), repeats=3)
    assert standing(Figures(results))[0][3].endswith("]")
    results.repeats(Cell("plumbline", "lr", 1, 64, "main"))[0]["generator_busy"] = 0.95
    assert standing(Figures(results))[0][3].endswith("]‡")


def test_a_changed_figure_changes_both_pages() -> None:
    results = made_up(plan=quick_plan(["plumbline", "grpc"]))
    assert "12,345" not in markdown(results)
    for repeat in results.repeats(Cell("grpc", "lr", 1, 64, "main")):
        repeat["rate"] = 12345.0
    assert "12,345" in markdown(results) and "12,345" in report(results)


def test_label_only_is_marked_wherever_such_an_arm_has_figures() -> None:
    page = markdown(made_up(arms=ARMS))
    before = page.split("## Errors and time-outs")[0]
    shown = re.findall(r"^\| (?:\w+ \| )?grpc(.)", before, re.MULTILINE)
    assert len(shown) >= 10 and set(shown) == {"†"}


def test_wrong_and_unmeasured_arms_are_listed_with_the_reason_and_ranked_nowhere() -> None:
    page = markdown(with_missing_arms())
    absent = {row[0]: row[1:] for row in rows(page, "### Wrong, or not measured")}
    assert absent["kserve"] == ["not measured", "pip: no matching distribution found for kserve==99.0"]
    assert absent["mlserver"] == ["wrong", "rf: row by row: row 7: label 1, not 0"]
    assert not re.search(r"^\| (?:mlserver|kserve|ray-serve) \| [\d,]", page, re.MULTILINE)


def test_doubtful_figures_are_marked_and_the_page_says_so_first() -> None:
    page = markdown(with_missing_arms())
    assert page.index("generator was over 90% busy") < page.index("## What was measured")
    names = {row[0] for row in rows(page, f"### {TITLES['lr']}", "## One row a request, 64 connections")}
    assert "grpc†‡" in names and "*floor-asgi‡* (floor)" in names and "**plumbline**" in names
    assert (
        "‡ floor-asgi: the generator used 97% of its core" in page or "grpc: the generator used 97%" in page
    )
    assert "busy" not in markdown(made_up(arms=ARMS)).split("## What was measured")[0]


def test_cells_without_a_figure_are_named() -> None:
    page = markdown(partial(ARMS))
    assert page.index("> **Partial.**") < page.index("## What was measured")
    missing = {
        (row[0], row[1]): row[2] for row in rows(page, "### Cells without a figure, or with too few repeats")
    }
    assert "1r 64c main (1 of 3 repeats)" in missing["**plumbline**", "hgb"]
    assert missing["**plumbline**", "rf"].startswith("1r 64c main, 1r 1c side")


def test_a_whole_result_with_loads_that_nobody_answered_is_not_called_partial() -> None:
    results = made_up(arms=ARMS)
    for repeat in results.cells[next(iter(results.plan["cells"]))]["repeats"]:
        repeat["answered"] = 0
    page = markdown(results)
    assert "Partial." not in page and "> **Without a figure.** In 1 of" in page


def test_errors_and_time_outs_are_counted_over_all_repeats() -> None:
    results = made_up(plan=quick_plan(["plumbline", "grpc"], ["lr"]))
    assert "Every request of every load was answered." in markdown(results)
    for errors, repeat in zip(
        (1, 20, 300), results.repeats(Cell("plumbline", "lr", 1, 64, "main")), strict=True
    ):
        repeat["errors"] = errors
    assert rows(markdown(results), "## Errors and time-outs")[0][2] == "321"
    broken = rows(markdown(with_missing_arms()), "## Errors and time-outs")
    assert any("the client program did not end" in row[-1] for row in broken)


@pytest.mark.parametrize("page", [markdown, report])
def test_a_result_of_little_or_nothing_is_still_a_page(page: object) -> None:
    empty = page(Results(Path("nothing.json")))  # type: ignore[operator]
    assert "plumbline has no figures here (not part of this run)" in empty
    one_core = made_up(plan=quick_plan(["plumbline", "grpc"]), repeats=1)
    one_core.machine["cores"] = 1
    assert "Do not rank by these figures." in page(one_core)  # type: ignore[operator]


def test_the_report_is_one_file_that_asks_no_host(tmp_path: Path) -> None:
    results = made_up(tmp_path / "new" / "run.json", plan=full_plan(ARMS, ["lr"]))
    assert write_all(results, committed=False) == [tmp_path / "new" / "run.html"]
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["run.html"]
    page = (tmp_path / "new" / "run.html").read_text()
    assert page.endswith("</html>\n") or page.endswith("</html>")
    assert not re.search(r"""(?:src|href|action)\s*=\s*["'](?!#)""", page)
    assert not re.search(r"@import|url\(|<link|<img|<image|<iframe|<script|@font-face", page)
    assert "http" not in re.sub(r"httptools", "", page)
    charts = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(charts) == 12
    for chart in charts:
        assert 'aria-label="' in chart and "NaN" not in chart and "undefined" not in chart
    assert "var(--plumbline)" in page and re.search(r"--plumbline:", page)


def test_a_chart_shows_each_arm_with_its_figure() -> None:
    results = made_up(plan=quick_plan(["plumbline", "grpc", "floor-asgi"]))
    throughput = report(results).split('<section id="throughput">')[1].split("</section>")[0]
    chart = throughput.split("</svg>")[0]
    for row in Figures(results).load("lr").to_dict("records"):
        assert f"{row['arm']}{row['mark']}" in chart and number(row["rate"]) in chart
    assert "« " in chart  # the floor's bar is cut


def test_text_from_a_result_is_escaped() -> None:
    results = made_up(plan=quick_plan(["plumbline", "grpc"]))
    results.arms["grpc"].update(status="not measured", reason="<script>alert(1)</script> | `more`")
    results.machine["cpu"] = "<script>alert(2)"
    page = report(results)
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page
    assert "&lt;script>alert(1)&lt;/script> \\| `more` |" in markdown(results)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((0, "0"), (0.0042, "0.0042"), (0.05, "0.050"), (0.5, "0.50")),
        *((12.34, "12.3"), (99.96, "100"), (54321.9, "54,322"), (None, "–")),
    ],
)
def test_numbers_have_three_digits(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("share", "text"), [(1.0, "100%"), (0.99999, "> 99.9%"), (0.5, "50%"), (0.00001, "< 0.1%"), (0.0, "0%")]
)
def test_less_than_all_is_never_written_as_all(share: float, text: str) -> None:
    assert percent(share) == text
