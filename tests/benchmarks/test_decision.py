"""The decision record: every point rests on a figure, a check or a fact, and other weights give another record."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from benchmarks.arms import ARMS as TABLE
from benchmarks.decision import WEIGHTS, check_weights, decision_record, load_weights, scores
from benchmarks.decision_scores import CHECKS
from benchmarks.environments import PEERS
from benchmarks.plan import Cell
from benchmarks.results import Results
from tests.benchmarks.made_up_results import checks, made_up, with_missing_arms

ARMS = ("plumbline", "flask-tutorial-sync", "fastapi-batched", "bentoml-batched", "grpc", "litserve")


@pytest.fixture
def weights() -> dict[str, Any]:
    return copy.deepcopy(dict(load_weights()))


@pytest.fixture
def results() -> Results:
    return made_up(arms=ARMS)


def points(results: Results, weights: dict[str, Any], name: str) -> dict[str, Any]:
    return {s.candidate.name: s for s in scores(results, weights)}[name].__dict__


def test_the_weights_are_those_that_were_asked_for(weights: dict[str, Any]) -> None:
    assert list(weights["weights"].values()) == [25, 25, 20, 15, 15]


def test_every_candidate_has_every_fact_with_a_source_and_code_that_exists(weights: dict[str, Any]) -> None:
    for fact in weights["facts"].values():
        assert set(fact["holds"]) == set(weights["candidates"])
    for row in weights["candidates"].values():
        assert set(row["arms"]) <= set(TABLE)
        assert all((PEERS / name).is_file() for name in row["code"]), row


def test_the_fastest_of_all_has_all_points_for_throughput(results: Results, weights: dict[str, Any]) -> None:
    found = points(results, weights, "FastAPI batched")["parts"]["performance"]["throughput"]
    assert found.points == 10.0 and found.said.startswith("lr ")
    own = points(results, weights, "Plumbline")["parts"]["performance"]["throughput"]
    assert 8 < own.points < 10


def test_no_points_for_checks_that_were_not_run(results: Results, weights: dict[str, Any]) -> None:
    assert points(results, weights, "Plumbline")["criteria"]["validation"] == 0.0
    assert "Checks not run" in decision_record(results, weights)


def test_a_check_that_was_left_out_counts_as_not_passed(results: Results, weights: dict[str, Any]) -> None:
    results.arms["plumbline"]["checks"] = {"refuses_nan": True}
    assert points(results, weights, "Plumbline")["criteria"]["validation"] == pytest.approx(2.0)


def test_facts_that_hold_partly_give_half_the_points(results: Results, weights: dict[str, Any]) -> None:
    name = "scales across machines by itself"
    found = {s.candidate.name: s.parts["scalability"][name].points for s in scores(results, weights)}
    assert (found["Ray Serve"], found["BentoML"], found["Plumbline"]) == (10.0, 5.0, 0.0)


def test_points_for_the_checks_that_passed(results: Results, weights: dict[str, Any]) -> None:
    checks(results, **{arm.replace("-", "_"): list(CHECKS) for arm in ARMS[1:]}, plumbline=["refuses_nan"])
    assert points(results, weights, "Plumbline")["criteria"]["validation"] == pytest.approx(2.0)
    assert points(results, weights, "gRPC")["criteria"]["validation"] == 10.0


def test_without_asynchronous_tasks_plumbline_is_last_there_and_the_record_says_so(
    results: Results, weights: dict[str, Any]
) -> None:
    assert points(results, weights, "Plumbline")["criteria"]["asynchronous work"] == 0.0
    losses = decision_record(results, weights).split("## Where Plumbline loses")[1].split("##")[0]
    assert "**asynchronous work** (0.0): behind Ray Serve" in losses
    assert "throughput" in losses and "FastAPI batched 10.0" in losses


def test_other_weights_give_another_winner(results: Results, weights: dict[str, Any]) -> None:
    weights["weights"] = dict.fromkeys(weights["weights"], 0) | {"asynchronous work": 1}
    assert scores(results, weights)[0].candidate.name == "Ray Serve"
    weights["weights"] = dict.fromkeys(weights["weights"], 0) | {"performance": 1}
    assert scores(results, weights)[0].candidate.name == "FastAPI batched"


def test_the_total_is_the_weighted_mean_of_the_criteria(results: Results, weights: dict[str, Any]) -> None:
    for score in scores(results, weights):
        total = sum(weights["weights"][c] * p for c, p in score.criteria.items()) / 100
        assert score.total == pytest.approx(total)


def test_a_figure_that_was_never_planned_is_left_out(results: Results, weights: dict[str, Any]) -> None:
    found = points(results, weights, "LitServe")["parts"]["scalability"]
    assert found["second worker"].points is None  # its arm is not measured with two workers
    counted = {"holds at 1000 connections": 30, "memory": 20, "scales across machines by itself": 30}
    mean = sum(share * found[name].points for name, share in counted.items()) / 80
    assert points(results, weights, "LitServe")["criteria"]["scalability"] == pytest.approx(mean)


def test_a_figure_that_failed_gives_no_points(results: Results, weights: dict[str, Any]) -> None:
    results.repeats(Cell("plumbline", "lr", 1, 64, "two-workers", workers=2))[:] = [
        {"answered": 0, "failed": "no"}
    ]
    assert points(results, weights, "Plumbline")["parts"]["scalability"]["second worker"].points == 0.0


def test_wrong_and_unmeasured_candidates_get_no_points_for_figures(weights: dict[str, Any]) -> None:
    results = with_missing_arms()
    for name in ("MLServer", "KServe"):
        found = points(results, weights, name)
        assert found["criteria"]["performance"] == 0.0
    page = decision_record(results, weights)
    assert "MLServer (not measured)" in page and "mlserver wrong: rf: row by row: row 7" in page


def test_all_figures_of_a_candidate_are_of_its_fastest_arm(weights: dict[str, Any]) -> None:
    results = made_up(arms=("plumbline", "bentoml", "bentoml-batched"))
    assert points(results, weights, "BentoML")["candidate"].arm == "bentoml-batched"


def test_label_only_is_marked(results: Results, weights: dict[str, Any]) -> None:
    assert "| gRPC† |" in decision_record(results, weights)


def test_every_part_has_its_formula_and_its_evidence(results: Results, weights: dict[str, Any]) -> None:
    page = decision_record(results, weights)
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


def test_the_file_is_where_the_record_says() -> None:
    assert WEIGHTS.name == "decision.yaml" and WEIGHTS.parent.name == "benchmarks"
