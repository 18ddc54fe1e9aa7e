"""The tables that README and docs/performance.md show are those of the committed results."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.blocks import PERFORMANCE
from benchmarks.environments import ROOT
from benchmarks.headline import FILE, goal_table, goals, rates


@pytest.fixture(scope="module")
def cells() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text())["cells"]
    return found


def test_the_pages_show_the_committed_results(cells: dict[str, Any]) -> None:
    """`python -m benchmarks.headline` writes them anew."""
    assert rates(cells) in (ROOT / "README.md").read_text()
    assert goal_table(cells) in PERFORMANCE.read_text()


def test_a_goal_is_reached_or_missed_by_its_figures() -> None:
    def cell(rate: float) -> dict[str, Any]:
        return {
            "repeats": [{"rate": rate, "latency_ms": {"p50": 1.0, "p99": 2.0}, "errors": 0, "timeouts": 0}]
        }

    made = {f"{arm} lr 1r 64c main 1w": cell(rate) for arm, rate in (("plumbline", 300.0), ("grpc", 100.0))}
    found = {name: (reached, enough) for name, _, reached, enough in goals(made)}
    assert found["1 row, 64 connections, logistic regression: plumbline to grpc"] == ("3.00×", True)
    assert found["1 row, 64 connections, gradient boosting: plumbline to grpc"] == ("not measured", None)
    made["grpc lr 1r 64c main 1w"] = cell(101.0)
    found = {name: (reached, enough) for name, _, reached, enough in goals(made)}
    assert found["1 row, 64 connections, logistic regression: plumbline to grpc"] == ("2.97×", False)
