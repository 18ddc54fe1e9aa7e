"""`make bench COMPARE=old.json`: a ratio that really worsened is found, noise and other loads are not."""

from __future__ import annotations

import re

import pytest

from benchmarks.compare import compare
from benchmarks.plan import Cell, quick_plan
from benchmarks.results import Results
from tests.benchmarks.made_up_results import made_up

ARMS = ("plumbline", "fastapi-batched", "grpc", "floor-wsgi")
MAIN = Cell("plumbline", "lr", 1, 64, "main")


def slowed(results: Results, factor: float, cell: Cell = MAIN) -> Results:
    for repeat in results.repeats(cell):
        repeat["rate"] *= factor
    return results


@pytest.fixture
def old() -> Results:
    return made_up(arms=ARMS)


def test_the_same_run_is_not_worse(old: Results) -> None:
    assert compare(old, made_up(arms=ARMS)) == []


def test_noise_of_another_run_is_not_worse(old: Results) -> None:
    assert compare(old, made_up(arms=ARMS, seed=7)) == []


def test_a_slower_plumbline_is_worse_against_every_arm_of_that_cell(old: Results) -> None:
    found = compare(old, slowed(made_up(arms=ARMS), 0.7))
    assert {line.split()[0] for line in found} == set(ARMS) - {"plumbline"}
    assert all(
        re.search(r" lr 1r 64c main 1w for one request of plumbline: ×.* then, ×.* now", line)
        for line in found
    )


def test_a_machine_that_is_slower_for_all_changes_no_ratio(old: Results) -> None:
    new = made_up(arms=ARMS)
    for cell in new.cells.values():
        for repeat in cell["repeats"]:
            repeat["rate"] *= 0.5
    assert compare(old, new) == []


def test_a_faster_plumbline_is_not_worse(old: Results) -> None:
    assert compare(old, slowed(made_up(arms=ARMS), 1.5)) == []


def test_less_than_the_threshold_is_let_pass(old: Results) -> None:
    new = slowed(made_up(arms=ARMS), 0.85)
    assert compare(old, new, threshold=0.25) == []
    assert compare(old, new, threshold=0.05)


def test_what_the_intervals_explain_is_let_pass(old: Results) -> None:
    new = slowed(made_up(arms=ARMS), 0.8)
    repeats = new.repeats(MAIN)
    repeats[0]["rate"] = old.repeats(MAIN)[0]["rate"]
    assert compare(old, new) == []


def test_open_loops_are_not_compared(old: Results) -> None:
    cell = Cell("plumbline", "lr", 1, 64, "open", share=0.5)
    assert compare(old, slowed(made_up(arms=ARMS), 0.1, cell)) == []


def test_two_workers_are_compared(old: Results) -> None:
    cell = Cell("plumbline", "lr", 1, 64, "two-workers", workers=2)
    assert all(" two-workers 2w for" in line for line in compare(old, slowed(made_up(arms=ARMS), 0.5, cell)))


def test_a_changed_peer_and_a_busy_generator_are_mentioned(old: Results) -> None:
    new = slowed(made_up(arms=ARMS), 0.7)
    new.arms["grpc"]["digest"] = "other"
    new.repeats(MAIN)[0]["generator_busy"] = 0.99
    line = next(line for line in compare(old, new) if line.startswith("grpc"))
    assert "its own files changed" in line and "the generator used 99%" in line
    assert "files changed" not in next(ln for ln in compare(old, new) if ln.startswith("floor-wsgi"))


def test_wrong_answers_are_worse_than_slow_ones(old: Results) -> None:
    new = made_up(arms=ARMS)
    new.arms["plumbline"].update(status="wrong", reason="wrong answers for lr")
    assert compare(old, new) == ["plumbline is wrong now: wrong answers for lr"]


def test_a_cell_that_is_not_answered_any_more_is_worse(old: Results) -> None:
    new = made_up(arms=ARMS)
    new.repeats(MAIN)[:] = [{"answered": 0, "failed": "did not end"}]
    assert compare(old, new) == [f"{MAIN.key}: no answer any more"]


def test_a_smaller_run_is_compared_where_it_can_be(old: Results) -> None:
    new = made_up(plan=quick_plan(["plumbline", "grpc"], ["lr"]), repeats=1)
    assert compare(old, new) == []
    assert len(compare(old, slowed(new, 0.5))) == 1


def test_nothing_in_common_is_an_error(old: Results) -> None:
    new = made_up(plan=quick_plan(["grpc"], ["lr"]))
    with pytest.raises(ValueError, match="no ratio in common"):
        compare(old, new)
