"""The tables that README and docs/performance.md show are those of the committed results."""

from __future__ import annotations

import pytest

from benchmarks.blocks import PERFORMANCE
from benchmarks.environments import ROOT
from benchmarks.headline import FILE, goal_table, rates
from benchmarks.plan import quick_plan
from benchmarks.report.figures import Figures
from benchmarks.results import Results
from tests.benchmarks.made_up_results import made_up


def test_the_pages_show_the_committed_results() -> None:
    """`python -m benchmarks.headline` writes them anew."""
    figures = Figures(Results.load(FILE))
    assert rates(figures) in (ROOT / "README.md").read_text()
    assert goal_table(figures) in PERFORMANCE.read_text()


@pytest.mark.parametrize(("peer", "mark"), [(100.0, "3.00× | reached"), (101.0, "2.97× | **missed**")])
def test_a_goal_is_reached_or_missed_by_its_figures(peer: float, mark: str) -> None:
    speeds = {"plumbline": 300.0, "grpc": peer}
    results = made_up(plan=quick_plan(list(speeds), ["lr"]), speed=lambda cell: speeds[cell.arm])
    for cell in results.cells.values():
        for repeat in cell["repeats"]:
            repeat["rate"] = speeds[cell["arm"]]
    table = goal_table(Figures(results))
    assert f"| 1 row, 64 connections, logistic regression: plumbline to grpc | ≥ 3× | {mark} |" in table
    assert "| 1 row, 64 connections, gradient boosting: plumbline to grpc | ≥ 4× | not measured |  |" in table
