"""Tests of shared models: right answers from every worker, and no model can end the server."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models.publishing import publish
from models.store import Store
from tests.conftest import wait_until
from tests.end_to_end.server import Server
from tests.harmful import exiting, hanging, harmful_draft, linear_draft, telling
from tests.toys import Canary

WORKERS = 4
FOREST_MIB = 25


@cache
def trained() -> dict[str, tuple[Any, np.ndarray]]:
    """Three estimators and rows for them: a forest, one that uses OpenMP, one that uses BLAS."""
    rng = np.random.default_rng(6)
    X, wide = rng.normal(size=(9000, 6)), rng.normal(size=(300, 400))
    forest = RandomForestRegressor(30, max_features=1, random_state=0).fit(X, rng.normal(size=9000))
    boosted = HistGradientBoostingClassifier(max_iter=40).fit(X, (X[:, 0] > 0).astype(int))
    linear = make_pipeline(StandardScaler(), LogisticRegression()).fit(wide, (wide[:, 0] > 0).astype(int))
    assert sum(tree.tree_.node_count for tree in forest.estimators_) * 72 > FOREST_MIB * 2**20 * 0.8
    return {
        "forest": (forest, rng.normal(size=(64, 6))),
        "boosted": (boosted, rng.normal(size=(64, 6))),
        "linear": (linear, rng.normal(size=(64, 400))),
    }


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store")
    for name, (model, rows) in trained().items():
        publish(Store(path), name, model, rows)
    return path


@pytest.fixture(scope="module")
def server(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    copy = tmp_path_factory.mktemp("copy") / "store"
    shutil.copytree(store, copy)
    # Two OpenMP threads, so that each worker makes a pool of them, and hangs if the fork had cut one off.
    env = {"PLUMBLINE_SHARE_MODELS": "1", "OMP_NUM_THREADS": "2", "PYTHONWARNINGS": "error"}
    with Server(copy, workers=WORKERS, **env) as running:
        all_ready(running, "forest")
        yield running


def all_ready(server: Server, name: str, version: int = 1) -> None:
    """Wait until every worker can answer."""
    line = f'plumbline_model_ready{{model="{name}",version="{version}"}} {WORKERS}.0'
    wait_until(lambda: line in server.get("/metrics").body.decode())


def ask(server: Server, name: str) -> None:
    """Send all rows in concurrent requests, and assert that each answer is the estimator's."""
    model, rows = trained()[name]
    with ThreadPoolExecutor(16) as pool:
        replies = list(
            pool.map(lambda row: server.post(f"/models/{name}/predict", {"features": row.tolist()}), rows)
        )
    assert [reply.status for reply in replies] == [200] * len(rows)
    said = [reply.json() for reply in replies]
    np.testing.assert_allclose([s["prediction"] for s in said], model.predict(rows), rtol=1e-9)
    if hasattr(model, "classes_"):
        expected = model.predict_proba(rows)
        np.testing.assert_allclose([s["probability"] for s in said], expected, rtol=1e-9, atol=1e-9)


def private_mib(pid: int) -> float:
    """Return the private memory of a process."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process, private and shared."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Rss:")) / 1024


@pytest.mark.parametrize("name", ["forest", "boosted", "linear"])
def test_every_kind_of_estimator_answers_as_itself(server: Server, name: str) -> None:
    """The parent has one thread, so the fork breaks no thread pool of OpenMP or BLAS."""
    ask(server, name)
    assert server.process is not None
    assert len(os.listdir(f"/proc/{server.process.pid}/task")) == 1
    assert f"{name}:1 is shared by all workers" in server.errors


def test_workers_have_little_of_their_own(server: Server) -> None:
    """Private libraries alone would take more than 100 MiB, in addition to the forest."""
    assert max(map(private_mib, server.workers())) < 90


def test_the_kernel_ends_a_worker_before_the_parent(server: Server) -> None:
    """The parent and a worker are equally large when memory runs out."""
    assert server.process is not None
    parent, *workers = (
        int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in (server.process.pid, *server.workers())
    )
    assert all(worker == min(parent + 100, 1000) for worker in workers)


def test_a_killed_worker_is_replaced_by_one_that_answers(server: Server) -> None:
    victim = server.workers()[0]
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: victim not in server.workers() and len(server.workers()) == WORKERS)
    all_ready(server, "forest")
    for name in trained():
        ask(server, name)


def test_a_reload_brings_new_versions_and_loses_no_request(server: Server, store: Path) -> None:
    """Requests continue while the parent verifies and loads; deleted versions are released."""
    changed = Store(server.store)
    added = linear_draft("added")
    changed.add(added.manifest, added.files)
    changed.delete_model("linear")
    statuses: list[int] = []
    over = threading.Event()

    def go_on(name: str) -> None:
        _, rows = trained()[name]
        while not over.is_set():
            statuses.append(server.post(f"/models/{name}/predict", {"features": rows[0].tolist()}).status)
            over.wait(0.01)

    old = set(server.workers())
    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(go_on, name) for name in ("forest", "boosted") * 2]
        server.signal(signal.SIGHUP)
        try:
            wait_until(lambda: not set(server.workers()) & old and len(server.workers()) == WORKERS)
            all_ready(server, "added")
            wait_until(lambda: len(statuses) > 20)
        finally:
            over.set()
        for one in asking:
            one.result()
    assert set(statuses) == {200}
    assert "added:1 is shared by all workers" in server.errors, server.errors
    assert server.errors.count("forest:1 is shared by all workers") == 1, "it was kept"
    assert server.post("/models/linear/predict", {"features": [0.0] * 400}).status == 404
    assert server.post("/models/added/predict", {"features": [1.0, 2.0]}).json()["prediction"] == 1
    for name in ("forest", "boosted"):
        ask(server, name)
    assert max(map(private_mib, server.workers())) < 90
    assert "Traceback" not in server.errors
    assert "Warning" not in server.errors


def test_a_reload_gives_back_the_memory_of_what_was_deleted(server: Server) -> None:
    """The parent frees the memory, although it was in the frozen generation."""
    assert server.process is not None
    parent, old = server.process.pid, set(server.workers())
    before = resident_mib(parent)
    Store(server.store).delete_model("forest")
    server.signal(signal.SIGHUP)
    wait_until(lambda: not set(server.workers()) & old and len(server.workers()) == WORKERS)
    assert before - resident_mib(parent) > FOREST_MIB * 0.8


@pytest.mark.stress
def test_workers_that_are_killed_again_and_again_cost_only_what_they_were_answering(store: Path) -> None:
    """After twenty SIGKILLs and two reloads under load, each new worker shares and answers."""
    lost: list[str] = []
    answered: list[int] = []
    over = threading.Event()

    def go_on(name: str) -> None:
        row = trained()[name][1][0].tolist()
        while not over.wait(0.01):
            try:
                answered.append(server.post(f"/models/{name}/predict", {"features": row}).status)
            except (OSError, HTTPException) as error:
                lost.append(type(error).__name__)

    with Server(store, workers=WORKERS, PLUMBLINE_SHARE_MODELS="1") as server, ThreadPoolExecutor(3) as pool:
        all_ready(server, "forest")
        asking = [pool.submit(go_on, name) for name in trained()]
        try:
            for turn in range(20):
                os.kill(server.workers()[turn % len(server.workers())], signal.SIGKILL)
                if turn % 7 == 6:
                    server.signal(signal.SIGHUP)
                over.wait(1.5)
            wait_until(lambda: len(server.workers()) == WORKERS)
            for name in trained():
                all_ready(server, name)
        finally:
            over.set()
        for one in asking:
            one.result()
        assert set(answered) == {200}
        assert len(lost) <= 20 * len(asking), lost
        for name in trained():
            ask(server, name)
        assert max(map(private_mib, server.workers())) < 90
        assert "Traceback" not in server.errors


def test_no_model_ends_the_parent_and_the_others_serve(tmp_path: Path) -> None:
    """One version ends its process, one never ends its load, one is damaged, one has its own code."""
    store = Store(tmp_path / "store")
    told, touched = tmp_path / "told", tmp_path / "touched"
    drafts = [linear_draft("good"), exiting("exits"), hanging("hangs"), telling("telling", told)]
    for draft in [*drafts, harmful_draft("damaged", Canary(touched))]:  # type: ignore[arg-type]
        store.add(draft.manifest, draft.files)
    file = tmp_path / "store" / "damaged" / "1" / "model.joblib"
    file.chmod(0o644)
    file.write_bytes(file.read_bytes() + b" ")
    sharing = {"PLUMBLINE_SHARE_MODELS": "1", "PLUMBLINE_SHARE_TRIAL_SECONDS": "8"}
    with Server(store.path, workers=WORKERS, **sharing) as server:
        all_ready(server, "good")
        all_ready(server, "telling")
        models = server.get("/ready").json()["models"]
        assert {name: m["state"] for name, m in models.items()} == {
            "good": "ready",
            "telling": "ready",
            "exits": "failed",
            "hangs": "failed",
            "damaged": "failed",
        }
        reasons = {name: m["versions"]["1"].get("reason", "") for name, m in models.items()}
        assert reasons["exits"] == "loading it ended its process (exit status 7) when it was tried"
        assert reasons["hangs"] == "loading it took longer than 8 seconds when it was tried"
        assert "bytes where" in reasons["damaged"]
        assert not touched.exists(), "damaged bytes are unpickled by nobody"
        assert server.post("/models/good/predict", {"features": [1.0, 2.0]}).status == 200
        assert server.post("/models/telling/predict", {"features": [1.0, 2.0]}).status == 200
        assert server.process is not None
        assert str(server.process.pid) not in told.read_text().split(), "only the trial and the workers"
        assert set(map(str, server.workers())) <= set(told.read_text().split())
        assert "telling:1 is not shared, each worker loads it: it uses " in server.errors
        assert server.errors.count("Booting worker") == WORKERS
        # A model that is being tried does not hold up the end.
        server.signal(signal.SIGHUP)
        wait_until(lambda: "Handling signal: hup" in server.errors)
        assert server.stop() == 0
        assert "Traceback" not in server.errors
