"""An arm is held to the estimator's own answers: right ones pass, every kind of wrong one is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.arms import ARMS
from benchmarks.environments import Environment
from benchmarks.parity import TOLERANCE, check_parity
from benchmarks.server_process import cores, running
from tests.benchmarks.toy_servers import toy

HERE = Environment.of_this_process()

FAULTS = {
    "labels[0] += 1": "row by row: row 0: label ",
    "probabilities[0][0] += 1e-5": "row by row: row 0: probabilities ",
    "probabilities[0][0] = float('nan')": "row by row: native: ",
    "probabilities[0].pop()": "row by row: row 0: probabilities of shape (1, 2), not (1, 3)",
    "labels[0] = labels[0] + (found == [137])": "row by row: row 137: label ",
    "labels[0] += asked > 201 and 'inputs' not in body": "8 clients at once: row ",
    "labels[-1] += len(labels) > 1": "16 rows a request: row 15: label ",
    "labels = labels[:15]; probabilities = probabilities[:15]": "16 rows a request: row 0: 15 labels for 16 rows",
    "labels = 'no' if len(labels) > 1 else labels": "16 rows a request: native: ",
}


@pytest.mark.parametrize("name", ["plumbline", "flask-tutorial-gthread"])
def test_the_project_and_a_tutorial_server_give_the_answers_of_the_estimator(name: str) -> None:
    with running(ARMS[name], "lr", cores()[-1], environment=HERE) as server:
        verdict = check_parity(server.arm, server)
        assert server.cold_start_seconds is not None
        assert server.process_count() == server.arm.processes
    assert verdict.wrong == ""
    assert verdict.ranked and verdict.batches and not verdict.label_only
    assert verdict.max_difference is not None and verdict.max_difference <= TOLERANCE


def test_an_arm_that_answers_as_the_estimator_does_is_ranked(tmp_path: Path) -> None:
    with running(toy(tmp_path), "lr", None, environment=HERE) as server:
        verdict = check_parity(server.arm, server)
    assert (verdict.wrong, verdict.ranked, verdict.max_difference) == ("", True, 0.0)


@pytest.mark.parametrize(("fault", "wrong"), FAULTS.items(), ids=range(len(FAULTS)))
def test_a_wrong_answer_is_found_and_the_arm_is_not_ranked(tmp_path: Path, fault: str, wrong: str) -> None:
    with running(toy(tmp_path, fault=fault), "lr", None, environment=HERE) as server:
        verdict = check_parity(server.arm, server)
    assert verdict.wrong.startswith(wrong)
    assert verdict.checked and not verdict.ranked


def test_a_server_whose_first_answer_is_wrong_has_no_cold_start(tmp_path: Path) -> None:
    with running(toy(tmp_path, fault="labels[0] = 9"), "lr", None, environment=HERE) as server:
        assert server.cold_start_seconds is None


def test_a_floor_is_not_checked_and_not_ranked() -> None:
    with running(ARMS["floor-wsgi"], "lr", None, environment=HERE) as server:
        verdict = check_parity(server.arm, server)
    assert (verdict.checked, verdict.wrong, verdict.ranked) == (False, "", False)
