"""What a model that is loaded late costs the client that waits for it, and the others."""

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
    """A forest that is asked meanwhile, which lets go of the interpreter for each tree; and models of many small objects."""
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
    """By kind, n, p50 and p99 of milliseconds; of requests for others also how often they waited."""
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
    """Also that of one that comes back, after it left memory to make room."""
    assert measured[kind]["n"] >= 3
    assert measured[kind]["p50"] <= 1.5 * measured["plain"]["p50"]


@pytest.mark.parametrize("meanwhile", ["awaited", "unawaited"])
def test_requests_for_others_are_hardly_held_up_while_a_model_is_loaded(
    measured: Any, meanwhile: str
) -> None:
    """Whether a client waits for the model or not. Where the loading thread does not rest, p99 is three to six times as long:
    each of 30 trees lets go of the interpreter, and waits for it. On a busy machine the other thread may be stopped while it
    has the interpreter, which lengthens a request and makes it wait once."""
    during, quiet = measured[meanwhile], measured["quiet"]
    assert during["n"] >= 50
    waits, waits_quiet = measured[f"{meanwhile} waits"]["p99"], measured["quiet waits"]["p99"]
    assert during["p99"] <= 2 * quiet["p99"] or waits <= waits_quiet + 3
