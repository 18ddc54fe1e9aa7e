"""The whole harness once, small: three arms for a second each, and every output of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.environments import ROOT, is_installed
from benchmarks.plan import Cell
from benchmarks.results import Results, rate
from tests.conftest import LONG_SECONDS

ARMS = ("plumbline", "fastapi-tutorial", "grpc")
PEERS = ("fastapi", "grpc")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What `make bench QUICK=1 ARMS=..` leaves."""
    if "CI" not in os.environ:
        if shutil.which("wrk") is None:
            pytest.skip("wrk is not installed: apt-get install wrk")
        if not all(map(is_installed, PEERS)):
            pytest.skip("the peers are not installed: make bench QUICK=1 installs them")
    path = tmp_path_factory.mktemp("bench") / "smoke.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--arms", " ".join(ARMS), "--seconds", "1"]
    done = subprocess.run(
        [*command, "--out", str(path)], cwd=ROOT, capture_output=True, text=True, timeout=3600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return Results.load(path)


def test_every_arm_was_measured_and_answered_rightly(results: Results) -> None:
    for name in ARMS:
        arm = results.arms[name]
        assert (arm["status"], arm["reason"]) == ("measured", ""), name
        assert arm["parity"]["lr"]["ranked"]
        assert arm["cold_start_seconds"]["lr"][0] > 0
        (repeat,) = results.repeats(Cell(name, "lr", 1, 64, "main"))
        assert repeat["answered"] > 0, repeat
        assert repeat["errors"] == repeat["timeouts"] == 0
        assert repeat["cpu_seconds"] > 0
        assert repeat["pss_bytes"] > 2**20


def test_the_result_file_says_what_was_measured_on_what(results: Results) -> None:
    data = json.loads(results.path.read_text())
    assert data["format"] == 1
    assert set(data["machine"]) >= {"cpu", "cores", "memory_gib", "kernel", "python", "wrk"}
    assert data["machine"]["cores"] >= 1
    (part,) = data["parts"]
    assert set(part) >= {"started", "ended", "commit", "dirty"}
    assert {name: arm["label_only"] for name, arm in data["arms"].items()} == {
        name: name == "grpc" for name in ARMS
    }
    assert all(len(arm["digest"]) == 64 for name, arm in data["arms"].items() if name != "plumbline")


def test_a_report_is_written_that_needs_nothing_else(results: Results) -> None:
    page = results.path.with_suffix(".html").read_text()
    assert all(name in page for name in ARMS)
    for remote in ('src="http', 'href="http', "@import", "url(http"):
        assert remote not in page


def test_a_faster_past_is_found_by_the_comparison(results: Results, tmp_path: Path) -> None:
    """The same file with every peer at half its rate: against that, this run has lost ground, and the exit code says so."""
    old = Results.load(results.path)
    for cell in old.cells.values():
        if cell["arm"] != "plumbline":
            for repeat in cell["repeats"]:
                repeat["rate"] /= 2
    old.path = tmp_path / "old.json"
    old.save()
    main = rate(results.cells[Cell("plumbline", "lr", 1, 64, "main").key])
    assert main is not None
    for reference, code in ((old.path, 1), (results.path, 0)):
        command = [sys.executable, "-m", "benchmarks", "--quick", "--only-report", "--out", str(results.path)]
        done = subprocess.run(
            [*command, "--compare", str(reference)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=LONG_SECONDS,
        )
        assert done.returncode == code, done.stderr
