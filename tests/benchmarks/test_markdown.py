"""RESULTS.md: complete, from the numbers, and plain about what is missing, doubtful, wrong or lost."""

from __future__ import annotations

import re

import pytest

from benchmarks import summary
from benchmarks.findings import findings
from benchmarks.markdown import markdown
from benchmarks.markdown_tables import table
from benchmarks.plan import Cell, quick_plan
from benchmarks.results import Results
from benchmarks.wording import number, percent
from tests.benchmarks.made_up_results import made_up, partial, with_missing_arms

ARMS = ("plumbline", "fastapi-batched", "flask-tutorial-sync", "grpc", "floor-wsgi")


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the table below a heading."""
    text = page.split(f"{heading}\n", 1)[1]
    found = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert found, heading
    return [[c.strip() for c in line.strip("|").split("|")] for line in found[0].splitlines()[2:]]


def steady(speeds: dict[str, float]) -> Results:
    """A quick run of three repeats in which every arm has exactly the speed given."""
    return made_up(plan=quick_plan(list(speeds), ["lr"]), speed=lambda cell: speeds[cell.arm])


def test_figures_are_the_medians_of_the_file() -> None:
    results = made_up(arms=ARMS)
    for model, title in summary.MODEL_TITLES.items():
        lines = {line.arm: line for line in summary.lines(results, model)}
        for row in rows(markdown(results), f"### {title}"):
            line = lines[re.sub(r"[*†‡]|\(floor\)", "", row[0]).strip()]
            assert row[1].startswith(number(line.rate.median) + " [")
            assert row[4] == number(line.latency("p99"))


def test_a_changed_figure_changes_the_page() -> None:
    results = made_up(arms=ARMS)
    before = markdown(results)
    for repeat in results.repeats(Cell("fastapi-batched", "lr", 1, 64, "main")):
        repeat["rate"] = 12345.0
    assert "12,345" in markdown(results) and "12,345" not in before


def test_label_only_is_marked_in_every_table_that_has_such_an_arm() -> None:
    page = markdown(made_up(arms=ARMS))
    shown = [line for line in page.splitlines() if re.match(r"\| (?:\w+ \| )?grpc", line)]
    figures = [line for line in shown if "tutorial |" not in line and "errors" not in line]
    marked = [line for line in figures if "grpc†" in line]
    failed = rows(page, "## Errors and time-outs") if "| arm | requests" in page else []
    assert len(marked) >= 10 and len(figures) - len(marked) == sum(row[0] == "grpc" for row in failed)


def test_wrong_and_unmeasured_arms_are_listed_with_the_reason_and_ranked_nowhere() -> None:
    page = markdown(with_missing_arms())
    absent = {row[0]: row[1:] for row in rows(page, "## Wrong, or not measured")}
    assert absent["kserve"] == ["not measured", "pip: no matching distribution found for kserve==99.0"]
    assert absent["mlserver"][0] == "wrong"
    for title in summary.MODEL_TITLES.values():
        assert "mlserver" not in {row[0] for row in rows(page, f"### {title}")}


def test_doubtful_figures_are_marked_and_the_page_says_so_first() -> None:
    page = markdown(with_missing_arms())
    assert page.index("generator was over 90% busy") < page.index("## What was measured")
    names = {row[0] for row in rows(page, f"### {summary.MODEL_TITLES['lr']}")}
    assert "grpc†‡" in names and "*floor-asgi* (floor)‡" in names and "**plumbline**" in names
    assert "busy" not in markdown(made_up(arms=ARMS)).split("## What was measured")[0]


def test_a_partial_result_names_its_missing_cells() -> None:
    page = markdown(partial(ARMS))
    assert page.index("> **Partial.**") < page.index("## What was measured")
    gaps = page.split("### Missing cells of the other arms")[1]
    assert "- plumbline: gradient boosting" not in gaps
    assert re.search(r"- plumbline: hgb: all 5 have too few repeats; rf: all 10", gaps)


def test_an_empty_result_is_a_page_that_says_so() -> None:
    results = Results(made_up(arms=ARMS).path)
    page = markdown(results)
    assert "plumbline has no figures here" in page and "| plumbline | not measured" in page


def test_one_core_for_both_is_said_first() -> None:
    results = made_up(arms=ARMS)
    results.machine["cores"] = 1
    assert "Do not rank by these figures" in markdown(results).split("## What was measured")[0]


@pytest.mark.parametrize(
    ("speeds", "verdict", "words"),
    [
        ({"plumbline": 1000.0, "fastapi-batched": 2000.0}, "behind", "It loses to fastapi-batched (×"),
        ({"plumbline": 2000.0, "fastapi-batched": 1000.0}, "ahead", "place 1 of 2"),
        ({"plumbline": 1000.0, "fastapi-batched": 1001.0}, "level", "do not tell it from fastapi-batched"),
    ],
)
def test_the_first_finding_follows_the_numbers(speeds: dict[str, float], verdict: str, words: str) -> None:
    first = findings(steady(speeds))[0]
    assert first.verdict == verdict and words in first.text


def test_a_single_repeat_proves_nothing() -> None:
    speeds = {"plumbline": 2000.0, "fastapi-batched": 1000.0}
    results = made_up(plan=quick_plan(list(speeds), ["lr"]), repeats=1, speed=lambda cell: speeds[cell.arm])
    first = findings(results)[0]
    assert first.verdict == "note" and "One repeat only" in first.text


def test_the_service_goal_is_missed_with_a_slow_p99_or_lost_requests() -> None:
    def goal(results: Results) -> str:
        return next(f.verdict for f in findings(results) if f.text.startswith("Service goal"))

    results = made_up(arms=ARMS)
    assert goal(results) == "ahead"
    repeats = results.repeats(Cell("plumbline", "lr", 1, 1000, "open", rate=1000.0))
    for repeat in repeats:
        repeat["latency_ms"]["p99"] = 100.5
    assert goal(results) == "behind"
    for repeat in repeats:
        repeat["latency_ms"]["p99"] = 5.0
        repeat["timeouts"] = repeat["answered"] // 50
    assert goal(results) == "behind"


def test_errors_and_time_outs_are_counted_over_all_repeats() -> None:
    results = made_up(plan=quick_plan(["plumbline", "grpc"], ["lr"]))
    assert "Every request of every load was answered." in markdown(results)
    for errors, repeat in zip(
        (1, 20, 300), results.repeats(Cell("plumbline", "lr", 1, 64, "main")), strict=True
    ):
        repeat["errors"] = errors
    assert rows(markdown(results), "## Errors and time-outs")[0][2] == "321"
    assert any(f.verdict == "behind" and "321 errors" in f.text for f in findings(results))


def test_text_from_other_programs_cannot_break_a_table() -> None:
    assert table(("a",), [["x | y\n<b>"]]).splitlines()[2] == "| x \\| y &lt;b> |"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.0042, "0.0042"),
        (0.05, "0.050"),
        (0.5, "0.50"),
        (12.34, "12.3"),
        (99.96, "100"),
        (54321.9, "54,322"),
    ],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("share", "text"), [(1.0, "100%"), (0.99999, "> 99.9%"), (0.5, "50%"), (0.00001, "< 0.1%"), (0.0, "0%")]
)
def test_less_than_all_is_never_written_as_all(share: float, text: str) -> None:
    assert percent(share) == text


def test_a_whole_result_with_loads_that_nobody_answered_is_not_called_partial() -> None:
    results = made_up(arms=ARMS)
    key = next(iter(results.plan["cells"]))
    for repeat in results.cells[key]["repeats"]:
        repeat["answered"] = 0
    page = markdown(results)
    assert "Partial." not in page
    assert "> **Without a figure.** In 1 of" in page
