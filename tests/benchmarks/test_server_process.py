"""A server is started, timed, measured and stopped; whatever it does to escape, nothing of it is left."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.arms import ARMS
from benchmarks.environments import Environment
from benchmarks.processes import ProcessTree
from benchmarks.server_process import NotStarted, cores, running
from tests.benchmarks.toy_servers import toy
from tests.conftest import wait_until

HERE = Environment.of_this_process()

# A daemon in a session of its own that ignores SIGTERM, and a child that has lost the server's environment.
ESCAPES = """
ignore = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"
daemon = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', %r], start_new_session=True)" % ignore
subprocess.run([sys.executable, "-c", daemon], check=True)
subprocess.Popen([sys.executable, "-c", ignore], env={})
"""


def alive(pid: int) -> bool:
    """Whether the process runs: a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_floor_answers_on_its_core_and_is_measured() -> None:
    core = cores()[-1]
    began = time.monotonic()
    with running(ARMS["floor-wsgi"], "lr", core, environment=HERE) as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert server.cold_start_seconds is not None and server.cold_start_seconds > 0
        processes = server.tree.processes()
        assert len(processes) == server.process_count() == server.arm.processes
        assert all(os.sched_getaffinity(process.pid) == {core} for process in processes)
        assert 2**20 < server.pss_bytes() < 2**30
        before = server.cpu_seconds()
        with server.caller() as ask:
            for _ in range(100):
                ask([[1.0, 2.0, 3.0, 4.0]])
        assert before <= server.cpu_seconds() <= time.monotonic() - began
        work = server.work
    assert not any(alive(process.pid) for process in processes)
    assert not work.exists()


def test_nothing_is_left_of_a_server_that_makes_daemons(tmp_path: Path) -> None:
    with running(toy(tmp_path, before=ESCAPES), "lr", None, environment=HERE, grace_seconds=0.5) as server:
        wait_until(lambda: server.process_count() >= 3)
        pids = [process.pid for process in server.tree.processes()]
    assert len(pids) == 3
    assert not any(map(alive, pids))


def test_nothing_is_left_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), running(toy(tmp_path), "lr", None, environment=HERE) as server:
        pids = [process.pid for process in server.tree.processes()]
        raise KeyboardInterrupt
    assert pids and not any(map(alive, pids))


def test_a_server_that_ends_is_not_started_and_its_last_words_are_the_reason(tmp_path: Path) -> None:
    arm = toy(tmp_path, before="raise RuntimeError('no model at /srv/models/x.joblib')")
    with (
        pytest.raises(NotStarted, match=r"code 1: RuntimeError: no model at x\.joblib"),
        running(arm, "lr", None, environment=HERE),
    ):
        pass


def test_a_server_that_never_answers_is_stopped(tmp_path: Path) -> None:
    script = tmp_path / "silent.sh"
    script.write_text(f"echo $$ > {tmp_path}/pid\necho still loading\nexec sleep 3600\n")
    arm = replace(toy(tmp_path), argv=f"sh {script}")
    with (
        pytest.raises(NotStarted, match=r"no answer in 3 s.*still loading"),
        running(arm, "lr", None, environment=HERE, start_seconds=3.0),
    ):
        pass
    assert not alive(int((tmp_path / "pid").read_text()))


def test_the_server_inherits_no_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMBLINE_NONSENSE", "1")
    arm = toy(tmp_path, before="print(sorted(os.environ), flush=True)")
    with running(arm, "lr", None, environment=HERE) as server:
        names = server.log()
    assert "PLUMBLINE_NONSENSE" not in names and "OMP_NUM_THREADS" in names


def test_another_process_is_not_of_the_tree() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"]) as other:
        tree = ProcessTree("a-marker-that-nothing-carries")
        tree.stop(0.0)
        assert tree.processes() == []
        assert alive(other.pid)
        other.kill()
