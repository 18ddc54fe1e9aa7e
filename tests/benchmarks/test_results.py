"""The result file, and the medians and intervals of its repeats."""

from __future__ import annotations

import json
import random
import statistics
from pathlib import Path

import pytest

from benchmarks.plan import Cell
from benchmarks.report.figures import Figures
from benchmarks.results import Results, bootstrap, cpu_seconds_per_1000, figure, rate
from tests.benchmarks.made_up_results import made_up

ARMS = ("plumbline", "fastapi-batched", "grpc", "floor-wsgi")
MAIN = Cell("plumbline", "lr", 1, 64, "main")


def test_a_saved_file_is_read_back_the_same(tmp_path: Path) -> None:
    results = made_up(tmp_path / "deep" / "some.json", arms=ARMS)
    results.save()
    again = Results.load(results.path)
    assert again == results
    assert [p.name for p in results.path.parent.iterdir()] == ["some.json"]


def test_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text(json.dumps({"format": 0, "cells": {}}))
    with pytest.raises(ValueError, match="not a result of format"):
        Results.load(path)


def test_every_added_repeat_is_on_disk_at_once(tmp_path: Path) -> None:
    results = Results(tmp_path / "some.json")
    for speed in (10.0, 30.0):
        results.add(MAIN, {"answered": 1, "rate": speed})
        assert [r["rate"] for r in Results.load(results.path).repeats(MAIN)][-1] == speed


def test_the_median_ignores_repeats_without_answers_but_the_remark_does_not() -> None:
    results = made_up(arms=ARMS)
    cell = results.cells[MAIN.key]
    cell["repeats"][0] = {"started": "", "answered": 0, "failed": "the generator did not end"}
    rates = [r["rate"] for r in cell["repeats"][1:]]
    found = rate(cell)
    assert found is not None and found.median == statistics.median(rates) and found.repeats == 2
    (own,) = Figures(results).load("lr").query("arm == 'plumbline'").to_dict("records")
    assert own["rate"] == found.median and own["remarks"] == "1 repeats brought no answer"


def test_nothing_answered_is_no_figure() -> None:
    assert rate({"repeats": [{"answered": 0, "rate": 0.0, "generator_busy": 0.0}]}) is None


@pytest.mark.parametrize(("busy", "doubtful"), [(0.90, False), (0.91, True)])
def test_a_busy_generator_makes_a_figure_doubtful(busy: float, doubtful: bool) -> None:
    repeats = [{"answered": 5, "rate": 1.0, "generator_busy": b} for b in (0.1, busy)]
    found = rate({"repeats": repeats})
    assert found is not None and bool(found.doubtful) is doubtful


def test_cpu_is_counted_for_a_thousand_answers() -> None:
    repeat = {"answered": 500, "cpu_seconds": 2.0, "generator_busy": 0.0}
    found = cpu_seconds_per_1000({"repeats": [repeat]})
    assert found is not None and found.median == pytest.approx(4.0)


def test_the_interval_covers_the_median_about_as_often_as_it_says() -> None:
    drawn, hits = random.Random(3), 0
    for _ in range(60):
        low, high = bootstrap([drawn.gauss(100, 5) for _ in range(15)], rounds=300)
        hits += low <= 100 <= high
    assert hits >= 50


def test_the_interval_of_one_repeat_is_a_point() -> None:
    found = figure({"repeats": [{"answered": 1, "generator_busy": 0.0}]}, lambda _: 7.0)
    assert found is not None and (found.low, found.median, found.high) == (7.0, 7.0, 7.0)
