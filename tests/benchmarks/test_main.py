"""A run is gone on with only where its figures would be of the same thing."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.plan import quick_plan
from benchmarks.results import Results
from tests.benchmarks.made_up_results import made_up


def test_a_run_of_other_code_or_another_machine_is_not_gone_on_with(tmp_path: Path) -> None:
    results = made_up(arms=("plumbline",))
    results.path = tmp_path / "run.json"
    results.save()
    before = results.path.read_bytes()
    done = CliRunner().invoke(main, ["--arms", "plumbline", "--out", str(results.path)])
    assert done.exit_code == 2
    assert "cannot be gone on with: the commit was" in done.output
    assert "the machine was" in done.output
    assert "make bench FRESH=1" in done.output
    assert results.path.read_bytes() == before


def test_pages_can_be_written_from_a_run_of_another_machine(tmp_path: Path) -> None:
    results = made_up(plan=quick_plan(["plumbline"]))
    results.path = tmp_path / "run.json"
    results.save()
    done = CliRunner().invoke(main, ["--only-report", "--out", str(results.path)])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "run.html").exists()
    assert Results.load(results.path).machine == results.machine


def test_there_must_be_a_run_to_publish(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["--publish", "--out", str(tmp_path / "none.json")])
    assert done.exit_code == 2
    assert "there is no run to publish" in done.output
