"""The result file, and what its raw repeats come to."""

from __future__ import annotations

import json
import random
import statistics
from pathlib import Path

import pytest

from benchmarks import summary
from benchmarks.plan import Cell, full_plan
from benchmarks.results import Results, bootstrap, cpu_seconds_per_1000, figure, rate
from tests.benchmarks.made_up_results import made_up, partial, with_missing_arms

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
    line = next(ln for ln in summary.lines(results, "lr") if ln.arm == "plumbline")
    assert line.remarks == ("1 repeats brought no answer",)


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


def test_ratios_come_with_an_interval_that_contains_them() -> None:
    lines = {line.arm: line for line in summary.lines(made_up(arms=ARMS), "lr")}
    ratio = lines["fastapi-batched"].ratio
    assert ratio is not None and ratio.low < ratio.median < ratio.high
    own = lines["plumbline"].ratio
    assert own is not None and own.median == 1.0


def test_floors_come_last_and_wrong_arms_not_at_all() -> None:
    results = with_missing_arms()
    found = summary.lines(results, "lr")
    assert [line.standing for line in found] == sorted((line.standing for line in found), reverse=True)
    assert not {"mlserver", "kserve", "ray-serve"} & {line.arm for line in found}
    told = {arm: (place, why) for arm, place, why in summary.unranked(results)}
    assert told["mlserver"] == ("wrong", "rf: row by row: row 7: label 1, not 0")
    assert "no matching distribution" in told["kserve"][1]


def test_an_arm_that_answers_one_model_wrongly_is_ranked_for_none() -> None:
    results = made_up(arms=ARMS)
    results.arms["grpc"]["status"] = "wrong"
    assert all("grpc" not in {line.arm for line in summary.lines(results, m)} for m in ("lr", "hgb", "rf"))


def test_arms_that_the_run_left_out_are_listed_and_not_dropped() -> None:
    told = {arm: why for arm, _, why in summary.unranked(made_up(arms=ARMS))}
    assert told["mlflow"] == "not part of this run"
    assert not set(ARMS) & set(told)


def test_missing_cells_are_those_planned_and_not_answered_often_enough() -> None:
    assert summary.missing(made_up(arms=ARMS)) == {}
    results = partial(ARMS)
    gaps = summary.missing(results)
    done = sum(len(c["repeats"]) >= 3 for c in results.cells.values())
    assert sum(map(len, gaps.values())) == len(full_plan(ARMS).cells) - done
    assert any(load.endswith("(1 of 3 repeats)") for load in gaps["plumbline"])


def test_the_curve_ends_where_no_request_was_slower() -> None:
    results = made_up(arms=ARMS)
    line = next(ln for ln in summary.lines(results, "lr") if ln.arm == "plumbline")
    for repeat in line.cell["repeats"]:
        repeat["answered"] = 150
    assert max(percent for percent, _ in line.curve()) == 99.0


def test_the_knee_is_the_last_load_before_latency_or_losses_grow() -> None:
    results = made_up(arms=ARMS)
    found = [
        line
        for share in (0.25, 0.50, 0.75, 0.90)
        for line in summary.lines(results, "lr", 64, "open", share=share)
        if line.arm == "plumbline"
    ]
    for line, p99 in zip(found, (10.0, 20.0, 29.0, 31.0), strict=True):
        for repeat in line.cell["repeats"]:
            repeat["latency_ms"]["p99"] = p99
    assert summary.knee(found) is found[2]
    for repeat in found[1].cell["repeats"]:
        repeat["timeouts"] = repeat["answered"]
    assert summary.knee(found) is found[0]
