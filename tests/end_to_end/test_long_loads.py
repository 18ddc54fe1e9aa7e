"""Tests of versions whose load takes longer than the worker time-out, or blocks the worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models.record import Record
from models.store import Store
from tests.conftest import wait_until
from tests.end_to_end.server import Server
from tests.harmful import SLOW_SECONDS, importing, linear_draft, matching, sleeping, summing

ROW = {"features": [0.5, 0.5]}
TIMEOUT_SECONDS = 6
LONG = 240.0


def stored(path: Path, *drafts: Record) -> Path:
    store = Store(path)
    for draft in drafts:
        store.add(draft.manifest, draft.files)
    return path


def states(server: Server) -> dict[str, Any]:
    """Return the state of each model; empty while no worker answers."""
    try:
        return {name: found["state"] for name, found in server.get("/ready").json()["models"].items()}
    except (OSError, ValueError):
        return {}


def settings(**more: str) -> dict[str, str]:
    return {"PLUMBLINE_WORKER_TIMEOUT_SECONDS": str(TIMEOUT_SECONDS), "PLUMBLINE_PROOF_SECONDS": "60", **more}


def test_a_version_that_loads_for_longer_than_the_time_out_is_waited_for(tmp_path: Path) -> None:
    """The worker lives and answers for loaded models, whether the load waits or computes."""
    assert SLOW_SECONDS > TIMEOUT_SECONDS
    path = stored(tmp_path / "store", linear_draft("good"), importing("imports"), sleeping("sleeps"))
    with Server(path, wait=False, **settings()) as server:
        wait_until(lambda: states(server).get("good") == "ready", LONG)
        (worker,) = server.workers()
        assert states(server) == {"good": "ready", "imports": "loading", "sleeps": "loading"}
        assert server.post("/models/good/predict", ROW).status == 200
        wait_until(lambda: set(states(server).values()) == {"ready"}, LONG)
        for name in ("good", "imports", "sleeps"):
            assert server.post(f"/models/{name}/predict", ROW).status == 200
        assert server.workers() == [worker]
        assert "WORKER TIMEOUT" not in server.errors


@pytest.fixture(scope="module")
def stuck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two versions whose load never releases the interpreter: at start-up, and at the first request."""
    path = stored(
        tmp_path_factory.mktemp("stuck"), linear_draft("good"), summing("sums"), matching("matches")
    )
    with Server(path, wait=False, **settings(PLUMBLINE_MODEL_LOADING="matches=lazy")) as server:
        yield server


def test_a_version_that_got_the_worker_killed_is_failed_for_the_next_one(stuck: Server) -> None:
    wait_until(lambda: states(stuck).get("sums") == "failed", LONG)
    assert stuck.errors.count("WORKER TIMEOUT") == 1
    assert states(stuck) == {"good": "ready", "sums": "failed", "matches": "lazy"}
    assert stuck.post("/models/good/predict", ROW).status == 200
    assert stuck.post("/models/sums/predict", ROW).status == 503


def test_a_version_that_gets_the_worker_killed_when_it_is_asked_for_does_so_once(stuck: Server) -> None:
    wait_until(lambda: states(stuck).get("sums") == "failed", LONG)
    (before,) = stuck.workers()
    with pytest.raises(OSError):
        stuck.post("/models/matches/predict", ROW)
    wait_until(lambda: before not in stuck.workers() and states(stuck).get("good") == "ready", LONG)
    (after,) = stuck.workers()
    assert stuck.post("/models/matches/predict", ROW).status == 503
    assert stuck.workers() == [after]
    assert states(stuck) == {"good": "ready", "sums": "failed", "matches": "failed"}
    reason = stuck.get("/ready").json()["models"]["matches"]["reason"]
    assert "blocked everything else in its process" in reason
    assert "PLUMBLINE_WORKER_TIMEOUT_SECONDS" in reason
    assert "damaged" not in stuck.errors and "cannot be unpickled" not in stuck.errors
