"""What workers cost in memory and what of it they share: a large forest under 1, 2 and 4, and a small model.

``python -m benchmarks.studies.memory`` trains the forest into a temporary store, starts gunicorn over it
with and without ``PLUMBLINE_SHARE_MODELS`` and prints four tables. All figures are proportional set sizes
of the whole process tree: a page that n processes share counts 1/n in each, so that their sum is what the
tree occupies. ``--forest-mib 0`` measures the small model alone.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression

from benchmarks.blocks import replace_block, table
from benchmarks.processes import MARKER, ProcessTree
from benchmarks.studies.store_server import serving_store
from models.publishing import publish
from models.store import Store

MIB = 2**20
COLUMNS = 8
#: A tree of this many samples has some 4 MiB.
SAMPLES = 50_000
NODE_BYTES = 64 + 8
SMALL_WORKERS = 4

#: What a worker with the small model imports; each line is measured on top of those above it.
STAGES = (
    ("the interpreter", ""),
    ("NumPy", "import numpy"),
    ("SciPy, as far as scikit-learn imports it at once", "import scipy.sparse.linalg, scipy.stats"),
    (
        "joblib, narwhals and rich, which scikit-learn imports",
        "import joblib, narwhals.stable.v2, rich.progress",
    ),
    (
        "scikit-learn's linear models and what they import of it",
        "import models.runtimes.sklearn_runtime, sklearn.linear_model",
    ),
    (
        "the web stack: gunicorn, gevent, Flask, marshmallow, apispec, prometheus_client",
        "import gunicorn.app.wsgiapp, gunicorn.workers.ggevent, flask, apispec.ext.marshmallow\n"
        "import prometheus_client",
    ),
)
#: What a worker imports when something needs it, on top of all of STAGES.
LATER = (
    ("pandas: a model of DataFrames", "import pandas"),
    (
        "scikit-learn's ensembles, trees, networks and pipelines: a model of that kind",
        "import sklearn.ensemble, sklearn.naive_bayes, sklearn.neural_network, sklearn.pipeline",
    ),
    ("flasgger: the first request for the documentation", "import flasgger"),
)

say = Console(stderr=True).print


def main() -> None:
    """Measure and print; ``--json`` for programs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--forest-mib", type=float, default=500.0)
    parser.add_argument("--workers", default="1,2,4", help="how many, separated by commas")
    parser.add_argument("--predictions", type=int, default=2000, help="in each worker")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="plumbline-memory-") as directory:
        figures: dict[str, Any] = {
            "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
            "predictions": options.predictions,
        }
        if options.forest_mib:
            store = Path(directory) / "large"
            figures["forest_mib"] = publish_forest(store, options.forest_mib)
            figures["forest"] = [
                measured(store, workers, share, options.predictions)
                for share in (False, True)
                for workers in map(int, options.workers.split(","))
            ]
        small = Path(directory) / "small"
        publish_small(small)
        figures["small"] = [
            measured(small, SMALL_WORKERS, share, options.predictions) for share in (False, True)
        ]
    figures["stages"] = stages(SMALL_WORKERS)
    blocks = {"memory of a small model": small_tables(figures)}
    if options.forest_mib:
        blocks["memory of a large model"] = forest_table(figures)
    if options.write:
        for name, text in blocks.items():
            replace_block(name, text)
    print(json.dumps(figures, indent=2) if options.json else "\n\n".join(blocks.values()))


def publish_forest(store: Path, mib: float) -> float:
    """Train a forest of about so many MiB into the store; the MiB of its trees."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(SAMPLES, COLUMNS)), rng.normal(size=SAMPLES)
    forest = RandomForestRegressor(1, max_features=1, random_state=0, warm_start=True).fit(X, y)
    one = forest.estimators_[0].tree_.node_count * NODE_BYTES
    say(f"training {round(mib * MIB / one)} trees")
    forest.set_params(n_estimators=max(2, round(mib * MIB / one))).fit(X, y)
    publish(Store(store), "forest", forest, X[:100])
    return sum(tree.tree_.node_count for tree in forest.estimators_) * NODE_BYTES / MIB


def publish_small(store: Path) -> None:
    """A logistic regression."""
    X = np.random.default_rng(0).normal(size=(200, COLUMNS))
    publish(Store(store), "small", LogisticRegression().fit(X, (X[:, 0] > 0).astype(int)), X[:100])


def measured(store: Path, workers: int, share: bool, predictions: int) -> dict[str, Any]:
    """MiB of a server over the store when every worker is ready, and after predictions in each of them."""
    (name,) = Store(store).names()
    say(f"{name}, {workers} workers, sharing {'on' if share else 'off'}")
    with serving_store(store, name, workers, share) as server:
        loaded = server.pss_mib()
        server.predict_everywhere(predictions, COLUMNS)
        return {
            "workers": workers,
            "share": share,
            "ready_seconds": round(server.ready_seconds, 1),
            "loaded_mib": round(loaded),
            "predicted_mib": round(server.pss_mib()),
        }


def stages(processes: int) -> list[tuple[str, float]]:
    """MiB a process after each import of STAGES and LATER, with this many processes at once."""
    found = []
    lines = (*STAGES, *LATER)
    for place, (name, _) in enumerate(lines):
        say(f"importing {name}")
        with importing([code for _, code in lines[: place + 1]], processes) as tree:
            found.append((name, round(tree.pss_bytes() / MIB / processes, 1)))
    return found


@contextmanager
def importing(statements: Sequence[str], processes: int) -> Iterator[ProcessTree]:
    """Processes that have executed the statements and wait."""
    tree = ProcessTree(uuid.uuid4().hex)
    native = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    code = "\n".join([*statements, "import gc, sys", "gc.collect()", "print(flush=True)", "sys.stdin.read()"])
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **native, MARKER: tree.marker},
        )
        for _ in range(processes)
    ]
    try:
        for process in started:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise SystemExit("a library cannot be imported")
        yield tree
    finally:
        for process in started:
            process.communicate()


def forest_table(figures: dict[str, Any]) -> str:
    """For docs/performance.md."""
    alone = figures["forest"][0]["predicted_mib"]
    rows = []
    for r in figures["forest"]:
        mib, times = r["predicted_mib"], r["predicted_mib"] / alone
        ready = f"{r['ready_seconds']} s"
        rows.append((r["workers"], _switch(r), ready, f"{r['loaded_mib']:,}", f"{mib:,}", f"{times:.2f}"))
    head = (
        "workers",
        "sharing",
        "ready after",
        "MiB, loaded",
        _predicted(figures),
        "times one worker without",
    )
    title = f"A forest of {figures['forest_mib']:.0f} MiB:"
    return "\n\n".join([title, table(head, rows, words=6), f"({figures['machine']})"])


def small_tables(figures: dict[str, Any]) -> str:
    """For docs/performance.md."""
    small = [
        (_switch(r), r["loaded_mib"], r["predicted_mib"], f"{r['predicted_mib'] / r['workers']:.0f}")
        for r in figures["small"]
    ]
    totals = [0.0, *(mib for _, mib in figures["stages"])]
    parts = [
        (name, f"{mib - before:.1f}") for (name, mib), before in zip(figures["stages"], totals, strict=False)
    ]
    whole = figures["small"][0]["predicted_mib"] / SMALL_WORKERS
    ours = ("ours, the model, and a quarter of the parent", f"{whole - totals[len(STAGES)]:.1f}")
    at_once = [*parts[: len(STAGES)], ours, ("together", f"{whole:.1f}")]
    blocks = [
        f"A logistic regression under {SMALL_WORKERS} workers:",
        table(("sharing", "MiB, loaded", _predicted(figures), "a worker"), small, words=4),
        "What of a worker is what, without sharing:",
        table(("part", "MiB"), at_once, words=2),
        "What comes to a worker when something needs it:",
        table(("part", "MiB"), parts[len(STAGES) :], words=2),
        f"({figures['machine']})",
    ]
    return "\n\n".join(blocks)


def _predicted(figures: dict[str, Any]) -> str:
    return f"MiB, after {figures['predictions']:,} predictions each"


def _switch(row: dict[str, Any]) -> str:
    return "on" if row["share"] else "off"


if __name__ == "__main__":
    main()
