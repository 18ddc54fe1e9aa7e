"""The comparison of our driver with wrk says what was measured, and agrees only within its limits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.arms import ARMS
from benchmarks.crosscheck import FILE, Pair, measure, save, told
from benchmarks.server_process import cores, running


def pair(rate: float, p50_ms: float) -> Pair:
    """wrk found 1000 requests/s and 10 ms."""
    return Pair(
        "toy",
        {"wrk": [1000.0] * 3, "driver": [rate] * 3},
        {"wrk": [10.0] * 3, "driver": [p50_ms] * 3},
        {"wrk": 0.1},
    )


@pytest.mark.parametrize(
    ("rate", "p50_ms", "agrees"),
    [
        (1000, 10, True),
        (1049, 11.9, True),
        (951, 8.1, True),
        (1060, 10, False),
        (940, 10, False),
        (1000, 12.5, False),
    ],
)
def test_it_agrees_within_a_twentieth_and_a_fifth(rate: float, p50_ms: float, agrees: bool) -> None:
    assert pair(rate, p50_ms).agrees is agrees


def test_what_was_found_is_kept_and_told(tmp_path: Path) -> None:
    assert told(tmp_path / "none.json") == []
    save([pair(1010, 9)], tmp_path / "found.json")
    (sentence,) = told(tmp_path / "found.json")
    assert "toy +1.0% and -10.0%" in sentence
    kept = json.loads((tmp_path / "found.json").read_text())
    assert kept["machine"]["cores"] == len(cores())
    assert kept["pairs"][0]["rates"]["driver"] == [1010] * 3


def test_the_committed_figures_are_within_the_limits() -> None:
    found = json.loads(FILE.read_text())
    assert {p["arm"] for p in found["pairs"]} == {"floor-asgi", "fastapi-async"}
    for p in found["pairs"]:
        assert abs(p["rate_off"]) <= found["rate_limit"] == 0.05
        assert abs(p["p50_off"]) <= found["p50_limit"] == 0.20


@pytest.mark.usefixtures("wrk")
def test_both_generators_load_a_real_server() -> None:
    """That they agree is a matter of a quiet machine; here each must get answers, and no errors."""
    with running(ARMS["plumbline"], "lr", None) as server:
        found = measure(server, None, repeats=1, seconds=1.0)
    assert min(found.rates["wrk"][0], found.rates["driver"][0]) > 10
