"""The decision record: points rest on figures, checks and facts, and other weights give another record."""

from __future__ import annotations

import copy
from typing import Any

import pandas as pd
import pytest

from benchmarks.arms import ARMS as TABLE
from benchmarks.environments import PEERS
from benchmarks.plan import Cell
from benchmarks.report import decision
from benchmarks.report.decision import CHECKS, WEIGHTS, check_weights, decision_record, load_weights, totals
from benchmarks.report.figures import Figures
from benchmarks.results import Results
from tests.benchmarks.made_up_results import checks, made_up, with_missing_arms

ARMS = ("plumbline", "flask-tutorial-sync", "fastapi-batched", "bentoml-batched", "grpc", "litserve")


@pytest.fixture
def weights() -> dict[str, Any]:
    return copy.deepcopy(dict(load_weights()))


@pytest.fixture
def results() -> Results:
    return made_up(arms=ARMS)


def points(results: Results, weights: dict[str, Any], candidate: str) -> pd.DataFrame:
    """Part -> points, said and share of one candidate."""
    parts = decision.points(Figures(results), weights)
    return parts[parts.candidate == candidate].set_index("part")


def score(results: Results, weights: dict[str, Any], candidate: str, criterion: str) -> float:
    return float(totals(decision.points(Figures(results), weights), weights["weights"])[criterion][candidate])


def test_the_weights_are_those_that_were_asked_for(weights: dict[str, Any]) -> None:
    assert list(weights["weights"].values()) == [25, 25, 20, 15, 15]
    assert WEIGHTS.name == "decision.yaml" and WEIGHTS.parent.name == "benchmarks"


def test_every_candidate_has_every_fact_with_a_source_and_code_that_exists(weights: dict[str, Any]) -> None:
    for fact in weights["facts"].values():
        assert set(fact["holds"]) == set(weights["candidates"])
    for row in weights["candidates"].values():
        assert set(row["arms"]) <= set(TABLE)
        assert all((PEERS / name).is_file() for name in row["code"]), row


def test_the_fastest_of_all_has_all_points_for_throughput(results: Results, weights: dict[str, Any]) -> None:
    first = points(results, weights, "FastAPI batched").loc["throughput"]
    assert first.points == 10.0 and first.said.startswith("lr ")
    assert 8 < points(results, weights, "Plumbline").points["throughput"] < 10


def test_no_points_for_checks_that_were_not_run(results: Results, weights: dict[str, Any]) -> None:
    assert score(results, weights, "Plumbline", "validation") == 0.0
    assert "Checks not run" in decision_record(results, weights)
    results.arms["plumbline"]["checks"] = {"refuses_nan": True}
    assert score(results, weights, "Plumbline", "validation") == pytest.approx(2.0)
    checks(results, grpc=list(CHECKS))
    assert score(results, weights, "gRPC", "validation") == 10.0


def test_facts_that_hold_partly_give_half_the_points(results: Results, weights: dict[str, Any]) -> None:
    for candidate, expected in (("Ray Serve", 10.0), ("BentoML", 5.0), ("Plumbline", 0.0)):
        assert points(results, weights, candidate).points["scales across machines by itself"] == expected


def test_without_asynchronous_tasks_plumbline_is_last_there_and_the_record_says_so(
    results: Results, weights: dict[str, Any]
) -> None:
    losses = decision_record(results, weights).split("## Where Plumbline loses")[1].split("##")[0]
    assert "**asynchronous work** (0.0): behind Ray Serve" in losses
    assert "throughput" in losses and "FastAPI batched 10.0" in losses


def test_other_weights_give_another_winner(results: Results, weights: dict[str, Any]) -> None:
    parts = decision.points(Figures(results), weights)
    for criterion, winner in (("asynchronous work", "Ray Serve"), ("performance", "FastAPI batched")):
        alone = dict.fromkeys(weights["weights"], 0) | {criterion: 1}
        assert totals(parts, alone).index[0] == winner


def test_the_total_is_the_weighted_mean_of_the_criteria(results: Results, weights: dict[str, Any]) -> None:
    ranking = totals(decision.points(Figures(results), weights), weights["weights"])
    for _, row in ranking.iterrows():
        assert row.total == pytest.approx(sum(w * row[c] for c, w in weights["weights"].items()) / 100)


def test_a_figure_that_was_never_planned_is_left_out(results: Results, weights: dict[str, Any]) -> None:
    own = points(results, weights, "LitServe")
    own = own[own.criterion == "scalability"]
    assert pd.isna(own.points["second worker"])  # its arm is not measured with two workers
    rest = own.drop(index="second worker")
    mean = (rest.share * rest.points).sum() / rest.share.sum()
    assert score(results, weights, "LitServe", "scalability") == pytest.approx(mean)


def test_a_figure_that_failed_gives_no_points(results: Results, weights: dict[str, Any]) -> None:
    cell = Cell("plumbline", "lr", 1, 64, "two-workers", workers=2)
    results.repeats(cell)[:] = [{"answered": 0, "failed": "no"}]
    assert points(results, weights, "Plumbline").points["second worker"] == 0.0


def test_wrong_and_unmeasured_candidates_get_no_points_for_figures(weights: dict[str, Any]) -> None:
    results = with_missing_arms()
    for name in ("MLServer", "KServe"):
        assert score(results, weights, name, "performance") == 0.0
    page = decision_record(results, weights)
    assert "MLServer (not measured)" in page and "mlserver wrong: rf: row by row: row 7" in page


def test_all_figures_of_a_candidate_are_of_its_fastest_arm(weights: dict[str, Any]) -> None:
    results = made_up(arms=("plumbline", "bentoml", "bentoml-batched"))
    assert set(points(results, weights, "BentoML").arm) == {"bentoml-batched"}


def test_every_part_has_its_formula_and_its_evidence(results: Results, weights: dict[str, Any]) -> None:
    page = decision_record(results, weights)
    assert "| gRPC† |" in page
    for parts in weights["criteria"].values():
        for row in parts:
            name = row.get("figure") or row.get("check") or row.get("fact")
            assert page.count(f"| {name} |") == 1 + len(weights["candidates"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w["weights"].update(charm=5), "every criterion needs a weight"),
        (lambda w: w["weights"].update(performance=-5), "not negative"),
        (lambda w: w["criteria"]["performance"].append({"figure": "beauty", "share": 1}), "no such part"),
        (lambda w: w["criteria"]["performance"].append({"figure": "memory"}), "no share"),
        (
            lambda w: w["facts"]["API page to try"]["holds"].update(Plumbline=["maybe", "somewhere"]),
            "true, partly or",
        ),
        (lambda w: w["facts"]["API page to try"]["holds"].update(Plumbline=[True, ""]), "a source"),
    ],
)
def test_weights_that_cannot_be_right_are_refused(weights: dict[str, Any], change: Any, message: str) -> None:
    change(weights)
    with pytest.raises(ValueError, match=message):
        check_weights(weights)
