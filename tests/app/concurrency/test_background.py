"""The cost of loading a model during serving, for the client that waits for it and for other clients."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor

from models.publishing import publish
from models.store import Store

ROOT = Path(__file__).parents[3]
COPIES = 16


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Publish models of many small objects, and a forest that serves while they load.

    The forest releases the interpreter at each tree.
    """
    store = Store(tmp_path_factory.mktemp("late"))
    X = np.random.default_rng(0).normal(size=(300, 2))
    y = X[:, 0] * X[:, 1]
    publish(store, "busy", RandomForestRegressor(30, max_depth=4, random_state=0).fit(X, y), X)
    first = publish(store, "m0", GradientBoostingRegressor(n_estimators=300, max_depth=2).fit(X, y), X)
    files = {path: first.read(path) for path in first.manifest.files}
    for number in range(1, COPIES):
        store.add(replace(first.manifest, name=f"m{number}"), files)
    return store


@pytest.fixture(scope="module")
def measured(store: Store) -> dict[str, dict[str, float]]:
    """Return n, p50 and p99 of milliseconds by kind, and for other requests also of how often they waited."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.app.concurrency.lazily", str(store.path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found: Any = json.loads(done.stdout.splitlines()[-1])
    print(found)
    return found


@pytest.mark.parametrize("kind", ["first", "returning"])
def test_the_first_client_of_a_lazy_model_waits_little_longer_than_loading_takes(
    measured: Any, kind: str
) -> None:
    """This also holds for a model that was evicted and is loaded again."""
    assert measured[kind]["n"] >= 3
    assert measured[kind]["p50"] <= 1.5 * measured["plain"]["p50"]


@pytest.mark.parametrize("meanwhile", ["awaited", "unawaited"])
def test_requests_for_others_are_hardly_held_up_while_a_model_is_loaded(
    measured: Any, meanwhile: str
) -> None:
    """This holds whether a client waits for the model or not.

    If the loading thread did not give way, p99 would be three to six times as long: each of 30 trees releases
    the interpreter and then waits for it. On a busy machine the kernel may stop the loading thread while it
    holds the interpreter, which lengthens a request and makes it wait once.
    """
    during, quiet = measured[meanwhile], measured["quiet"]
    assert during["n"] >= 50
    waits, waits_quiet = measured[f"{meanwhile} waits"]["p99"], measured["quiet waits"]["p99"]
    assert during["p99"] <= 2 * quiet["p99"] or waits <= waits_quiet + 3
