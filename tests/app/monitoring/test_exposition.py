"""The page of all workers equals prometheus_client's own merge, and is made in slices."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.host.workers import held_slots
from app.monitoring.exposition import exposition
from tests.conftest import LONG_SECONDS

COUNT = """
import os, sys
sys.path.insert(0, os.getcwd())
from pathlib import Path
from app.inference.messages import Reply, Route
from app.monitoring.metrics import PrometheusMetrics
from models.names import Version
from app.host.workers import claim_slot
metrics = PrometheusMetrics()
metrics.start(claim_slot(Path(sys.argv[1])))
for i in range({requests}):
    metrics.arrived()
    route = Route(Version("m\\"o\\\\del", i % {versions}))
    metrics.replied(Reply(0, 0.0007 * (i % 40), "", "POST", "/", 200 + i % 2, route, "", 0))
    metrics.left()
metrics.arrived()
metrics.loaded(Version("m", 1), {load_seconds}, True)
metrics.flush()
print(metrics._slot.number, flush=True)
if {wait}:
    sys.stdin.read()
"""


def worker(run_dir: Path, *, requests: int = 50, versions: int = 3, load: float = 0.5, wait: bool = False):
    """Start a process that counts like a worker. One that waits lives until its standard input is closed."""
    code = COUNT.format(requests=requests, versions=versions, load_seconds=load, wait=wait)
    return subprocess.Popen(
        [sys.executable, "-c", code, str(run_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen[str]) -> int:
    """End the worker, and return its slot."""
    out, _ = process.communicate("", timeout=LONG_SECONDS)
    assert process.returncode == 0
    return int(out)


def samples(page: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return every sample of a page, by name and labels."""
    return {
        (s.name, tuple(sorted(s.labels.items()))): s.value
        for family in text_string_to_metric_families(page)
        for s in family.samples
    }


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run directory with the files of two workers that ran one after the other."""
    path = tmp_path_factory.mktemp("run")
    first, second = worker(path, wait=True), None
    assert first.stdout is not None
    first.stdout.readline()
    second = worker(path, requests=70, load=0.9)
    assert finish(second) == 1
    first.communicate("", timeout=LONG_SECONDS)
    return path


def test_counts_of_all_workers_are_those_of_the_library(run_dir: Path) -> None:
    """Counters and cumulative histograms equal those of prometheus_client's own collector."""
    script = (
        "import os, sys; from prometheus_client import CollectorRegistry, generate_latest, multiprocess;"
        "r = CollectorRegistry(); multiprocess.MultiProcessCollector(r, sys.argv[1]);"
        "sys.stdout.buffer.write(generate_latest(r))"
    )
    theirs = subprocess.run(
        [sys.executable, "-c", script, str(run_dir)], capture_output=True, text=True, check=True
    )
    ours = exposition(sorted(run_dir.glob("*.db")), {0, 1}, lambda: None)
    assert samples(ours) == samples(theirs.stdout)
    total = sum(v for (name, _), v in samples(ours).items() if name == "plumbline_requests_total")
    assert total == 120


def test_gauges_of_workers_that_ended_are_left_out(run_dir: Path) -> None:
    """Counters stay, as Prometheus requires; requests in flight in a dead worker do not count."""
    page = samples(exposition(sorted(run_dir.glob("*.db")), held_slots(run_dir), lambda: None))
    assert not [name for name, _ in page if "in_flight" in name or "model_ready" in name]
    both = samples(exposition(sorted(run_dir.glob("*.db")), {0, 1}, lambda: None))
    assert both[("plumbline_requests_in_flight", ())] == 2
    assert both[("plumbline_model_ready", (("model", "m"), ("version", "1")))] == 2
    assert both[("plumbline_model_load_seconds", (("model", "m"), ("version", "1")))] == 0.9


def test_the_hub_gets_its_turn_while_a_large_page_is_made(tmp_path: Path) -> None:
    """At most 200 samples are read or written without a pause."""
    finish(worker(tmp_path, requests=400, versions=100))
    pauses = []
    page = exposition(sorted(tmp_path.glob("*.db")), set(), lambda: pauses.append(1))
    lines = len([line for line in page.splitlines() if not line.startswith("#")])
    assert lines > 1000
    assert len(pauses) >= 2 * (lines // 200) - 4


def test_a_restarted_worker_goes_on_counting_in_the_same_files(tmp_path: Path) -> None:
    """A new worker takes the lowest free slot, so that restarts do not add files."""
    assert finish(worker(tmp_path)) == 0
    before = sorted(p.name for p in tmp_path.glob("*.db"))
    assert finish(worker(tmp_path)) == 0
    assert sorted(p.name for p in tmp_path.glob("*.db")) == before
    page = samples(exposition(sorted(tmp_path.glob("*.db")), {0}, lambda: None))
    assert sum(v for (name, _), v in page.items() if name == "plumbline_requests_total") == 100
    assert page[("plumbline_requests_in_flight", ())] == 1
