"""The tables that every page is made from: medians, intervals, ratios, and what has none."""

from __future__ import annotations

import statistics

import pandas as pd
import pytest

from benchmarks.plan import GOAL_CONNECTIONS, GOAL_RATE, OPEN_SHARES, Cell, full_plan
from benchmarks.report.figures import Figures, knee, quotient
from tests.benchmarks.made_up_results import made_up, partial, with_missing_arms

ARMS = ("plumbline", "fastapi-batched", "grpc", "floor-wsgi")
MAIN = Cell("plumbline", "lr", 1, 64, "main")


def test_every_figure_is_the_median_of_its_repeats() -> None:
    results = made_up(arms=ARMS)
    cells = Figures(results).cells.set_index("key")
    assert set(cells.index) == set(results.cells)
    for key, cell in results.cells.items():
        repeats = cell["repeats"]
        assert cells.rate[key] == statistics.median(r["rate"] for r in repeats)
        assert cells["p99"][key] == statistics.median(r["latency_ms"]["p99"] for r in repeats)
        assert cells.memory[key] == pytest.approx(statistics.median(r["pss_bytes"] for r in repeats) / 2**20)
        assert cells["rate low"][key] <= cells.rate[key] <= cells["rate high"][key]


def test_ratios_come_with_an_interval_that_contains_them() -> None:
    cells = Figures(made_up(arms=ARMS)).load("lr").set_index("arm")
    assert cells.ratio["plumbline"] == 1.0
    own, other = cells.rate["plumbline"], cells.rate["fastapi-batched"]
    assert cells.ratio["fastapi-batched"] == pytest.approx(other / own)
    assert cells["ratio low"]["fastapi-batched"] < other / own < cells["ratio high"]["fastapi-batched"]


@pytest.mark.parametrize("count", [3, 9])
def test_the_interval_of_a_quotient_is_that_of_its_inverse_turned_round(count: int) -> None:
    one, other = [10.0 + i for i in range(count)], [20.0 + 3 * i for i in range(count)]
    middle, low, high = quotient(one, other)
    _, inverse_low, inverse_high = quotient(other, one)
    assert low <= middle <= high
    assert (low, high) == pytest.approx((1 / inverse_high, 1 / inverse_low), rel=0.15)


def test_floors_come_last_and_wrong_arms_not_at_all() -> None:
    figures = Figures(with_missing_arms())
    cells = figures.load("lr")
    assert list(cells.standing) == sorted(cells.standing, reverse=True)
    assert not {"mlserver", "kserve", "ray-serve"} & set(figures.cells.arm)
    assert figures.arms.loc["mlserver", ["standing", "why"]].tolist() == [
        "wrong",
        "rf: row by row: row 7: label 1, not 0",
    ]
    assert "no matching distribution" in figures.arms.why["kserve"]


def test_an_arm_that_answers_one_model_wrongly_is_ranked_for_none() -> None:
    results = made_up(arms=ARMS)
    results.arms["grpc"]["status"] = "wrong"
    assert "grpc" not in set(Figures(results).cells.arm)


def test_arms_that_the_run_left_out_are_listed_and_not_dropped() -> None:
    arms = Figures(made_up(arms=ARMS)).arms
    assert arms.why["mlflow"] == "not part of this run"
    assert all(arms.why[name] == "" for name in ARMS)


def test_missing_cells_are_those_planned_and_not_answered_often_enough() -> None:
    assert Figures(made_up(arms=ARMS)).missing().empty
    results = partial(ARMS)
    missing = Figures(results).missing()
    done = sum(len(cell["repeats"]) >= 3 for cell in results.cells.values())
    assert len(missing) == len(full_plan(ARMS).cells) - done
    assert set(missing.done) == {0, 1}


def test_the_curve_ends_where_no_request_was_slower() -> None:
    results = made_up(arms=ARMS)
    for repeat in results.repeats(MAIN):
        repeat["answered"] = 150
    assert max(percent for percent, _ in Figures(results).curve(MAIN.key)) == 99.0


def test_the_service_goal_is_missed_with_a_slow_p99_or_lost_requests() -> None:
    results = made_up(arms=ARMS)
    repeats = results.repeats(Cell("plumbline", "lr", 1, GOAL_CONNECTIONS, "open", rate=GOAL_RATE))

    def met() -> bool:
        return bool(Figures(results).goal("lr").set_index("arm").met["plumbline"])

    assert met()
    for repeat in repeats:
        repeat["latency_ms"]["p99"] = 100.5
    assert not met()
    for repeat in repeats:
        repeat["latency_ms"]["p99"] = 5.0
        repeat["timeouts"] = repeat["answered"] // 50
    assert not met()


def test_the_knee_is_the_last_load_before_latency_or_losses_grow() -> None:
    results = made_up(arms=ARMS)
    cells = [results.repeats(Cell("plumbline", "lr", 1, 64, "open", share=share)) for share in OPEN_SHARES]

    def own() -> pd.DataFrame:
        found = Figures(results).cells
        return found[(found.arm == "plumbline") & (found.model == "lr") & (found.share > 0)]

    for repeats, p99 in zip(cells, (10.0, 20.0, 29.0, 31.0), strict=True):
        for repeat in repeats:
            repeat["latency_ms"]["p99"] = p99
    offered = sorted(own().offered)
    assert knee(own()) == offered[2]
    for repeat in cells[1]:
        repeat["timeouts"] = repeat["answered"]
    assert knee(own()) == offered[0]
