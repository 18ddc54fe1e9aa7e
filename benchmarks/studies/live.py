"""What a change costs while it is made: requests during promotions and new routes, and memory afterwards.

``python -m benchmarks.studies.live`` starts gunicorn over stores that it makes, keeps it under a steady
load, promotes large versions, adds shadows that fail or stall, and prints how long requests took before and
meanwhile. They are timed one by one on a connection of their own. ``--write`` puts the tables into
docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from app.concurrency.forms import Threads
from app.host.proof import HostProver
from app.monitoring.arms import read_counts
from app.operations.operations import Operations, Outcome
from benchmarks.blocks import replace_block, table
from benchmarks.studies.live_load import RATE, serving
from benchmarks.studies.shadow_model import COLUMNS, KINDS, ShadowModel
from benchmarks.studies.store_server import fetch, serving_store
from models.publishing import publish
from models.store import Store
from models.traffic import Rule, Shadow

WINDOW_SECONDS = 3.0
TIMES = 5
PATIENCE_SECONDS = 120.0
MODELS, VERSIONS = 100, 3

CHANGE_HEAD = (
    *("change", "size, MiB", "takes, s", "p50 before", "p99 before", "p50 meanwhile", "p99 meanwhile"),
    *("ratio of p99", "longest", "failed"),
)
SHADOW_HEAD = (
    *("the shadow", "p50 without", "p99 without", "p50 with", "p99 with", "ratio of p99", "longest with"),
    *("answers compared", "failed"),
)

say = Console(stderr=True).print
RNG = np.random.default_rng(0)
X = RNG.normal(size=(20_000, COLUMNS))
Y = X[:, 0] * X[:, 1] + RNG.normal(size=len(X))


def kinds() -> dict[str, Callable[[], Any]]:
    """What is promoted: large arrays, many arrays, and thousands of small objects."""
    forest = RandomForestRegressor(60, max_features=1, random_state=0)
    boosting = HistGradientBoostingRegressor(max_iter=200, early_stopping=False)
    small = make_pipeline(StandardScaler(), GradientBoostingRegressor(n_estimators=1000, max_depth=2))
    return {
        "forest of 60 deep trees": lambda: forest.fit(X, Y),
        "boosting of 200 trees": lambda: boosting.fit(X, Y),
        "pipeline of 1,000 small trees": lambda: small.fit(X[:2000], Y[:2000]),
    }


def main() -> None:
    """Measure and print; ``--json`` for programs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    options = parser.parse_args()
    figures: dict[str, Any] = {
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
        "workers": options.workers,
        "promotions": [promotion(name, make(), options.workers) for name, make in kinds().items()],
        "shadows": shadows(options.workers),
        "routes": routes(options.workers),
        "memory": memory(),
    }
    if options.write:
        replace_block("live", tables(figures))
    print(json.dumps(figures, indent=2) if options.json else tables(figures))


def promotion(kind: str, model: Any, workers: int) -> dict[str, Any]:
    """Promote a copy of the model over it, again and again, under load; requests of the first one count."""
    say(f"promoting a {kind}")
    with serving(model, X, workers) as (store, server, probe):
        first = store.get("model", 1)
        files = {path: first.read(path) for path in first.manifest.files}
        control = operations(store, server.run_dir)
        before, during, took = [], [], []
        for _ in range(TIMES):
            time.sleep(WINDOW_SECONDS)
            began = time.monotonic()
            version = store.add(first.manifest, files).manifest.version
            complete(control.promote("model", version))
            done = time.monotonic()
            before += probe.milliseconds(began - WINDOW_SECONDS + 1, began, "1")
            during += probe.milliseconds(began, done, "1")
            took.append(done - began)
            complete(control.rollback("model"))
        return {
            "kind": kind,
            "mib": round(sum(map(len, files.values())) / 2**20, 1),
            "seconds": round(float(np.median(took)), 2),
            "before": quantiles(before),
            "during": quantiles(during),
            "failed": probe.failed,
        }


def shadows(workers: int) -> list[dict[str, Any]]:
    """Requests without a shadow and with one, in turns: it answers, raises, or stalls in two ways."""
    found = []
    for kind in KINDS:
        say(f"a shadow that {kind}")
        with serving(Ridge().fit(X, Y), X, workers) as (store, server, probe):
            same = store.get("model", 1).manifest.signature
            version = publish(store, "model", ShadowModel(kind, same), X[:100]).manifest.version
            control = operations(store, server.run_dir)
            without, with_ = [], []
            for _ in range(TIMES):
                for rule, taken in ((None, without), (Rule((), (), Shadow(version)), with_)):
                    complete(control.traffic("model", rule))
                    time.sleep(1)
                    began = time.monotonic()
                    time.sleep(WINDOW_SECONDS)
                    taken += probe.milliseconds(began, time.monotonic())
            asked = read_counts(server.run_dir, "model", version)
            if not asked.agrees + asked.differs:
                raise SystemExit("the shadow was never asked")
            found.append(
                {
                    "kind": kind,
                    "without": quantiles(without),
                    "with": quantiles(with_),
                    "asked": int(asked.agrees + asked.differs),
                    "failed": probe.failed,
                }
            )
    return found


def routes(workers: int) -> dict[str, Any]:
    """Publish one more version where there are many, while metrics are scraped."""
    say(f"{MODELS} models of {VERSIONS} versions")
    with serving(Ridge().fit(X, Y), X, workers, models=MODELS, versions=VERSIONS) as (store, server, probe):
        time.sleep(WINDOW_SECONDS)
        began = time.monotonic()
        scraped = [seconds(lambda: fetch(server.port, "/metrics")) for _ in range(20)]
        published = time.monotonic()
        took = []
        first = store.get("model", 1)
        for _ in range(TIMES):
            added = time.monotonic()
            store.add(first.manifest, {path: first.read(path) for path in first.manifest.files})
            complete(operations(store, server.run_dir).reload())
            took.append(time.monotonic() - added)
        return {
            "versions": MODELS * VERSIONS,
            "scrape_seconds": round(float(np.median(scraped)), 3),
            "seconds": round(float(np.median(took)), 2),
            "before": quantiles(probe.milliseconds(began - WINDOW_SECONDS + 1, began)),
            "scraping": quantiles(probe.milliseconds(began, published)),
            "during": quantiles(probe.milliseconds(published, time.monotonic())),
            "failed": probe.failed,
        }


def memory() -> list[dict[str, Any]]:
    """MiB of four workers that share a forest: at the start, after a promotion, and after SIGHUP."""
    say("memory of four workers")
    forest = kinds()["forest of 60 deep trees"]()
    with tempfile.TemporaryDirectory(prefix="plumbline-live-") as directory:
        store = Store(Path(directory) / "store")
        publish(store, "model", forest, X[:100])
        with serving_store(store.path, "model", 4, True) as server:
            found = [{"when": "at the start", "mib": round(server.pss_mib())}]
            version = publish(store, "model", forest.set_params(n_estimators=60), X[:100]).manifest.version
            operations(store, server.run_dir).promote("model", version)
            time.sleep(5)
            found.append({"when": "after a promotion", "mib": round(server.pss_mib())})
            server.reload(version)
            found.append({"when": "after SIGHUP", "mib": round(server.pss_mib())})
            return found


def operations(store: Store, run_dir: Path) -> Operations:
    """As the command line has them."""
    threads = Threads()
    prover = HostProver(store, run_dir, PATIENCE_SECONDS, threads)
    return Operations(store, run_dir, prover, PATIENCE_SECONDS, threads)


def complete(outcome: Outcome) -> None:
    """Ends the measurement where a worker did not follow: what comes after would be of another server."""
    if not outcome.complete:
        raise SystemExit(f"not every worker switched: {outcome}")


def quantiles(ms: list[float]) -> dict[str, float]:
    """Of these times in milliseconds."""
    named = {"p50": 50, "p99": 99, "max": 100}
    return {name: round(float(np.percentile(ms, q)), 2) for name, q in named.items()} if ms else {}


def seconds(call: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.monotonic()
    call()
    return time.monotonic() - began


def tables(figures: dict[str, Any]) -> str:
    """For docs/performance.md."""
    added = figures["routes"]
    changes = [(f"promotion of a {p['kind']}", p["mib"], p) for p in figures["promotions"]]
    changes.append((f"one version more beside {added['versions']}", "", added))
    rows = [
        (name, mib, c["seconds"], *row(c["before"], c["during"]), c["failed"]) for name, mib, c in changes
    ]
    shadows = [
        (s["kind"], *row(s["without"], s["with"]), s["asked"], s["failed"]) for s in figures["shadows"]
    ]
    scraping = added["scraping"]
    blocks = [
        f"One connection's requests in milliseconds, beside {RATE:g} requests/s on {figures['workers']} "
        "workers: before a change, and from its beginning until the new version answers "
        f"({TIMES} times each).",
        table(CHANGE_HEAD, rows),
        f"A page of `/metrics` takes {added['scrape_seconds']:g} s beside {added['versions']} versions; "
        f"requests meanwhile: p50 {scraping['p50']:g}, p99 {scraping['p99']:g} ms.",
        f"A shadow of every request ({TIMES} windows without it and with it, in turns):",
        table(SHADOW_HEAD, shadows),
        "Four workers that share a forest, MiB of the whole process tree:",
        table(("when", "MiB"), [(m["when"], f"{m['mib']:,}") for m in figures["memory"]]),
        f"({figures['machine']}: `python -m benchmarks.studies.live --write`)",
    ]
    return "\n\n".join(blocks)


def row(one: dict[str, float], other: dict[str, float]) -> tuple[float, ...]:
    """Both beside each other, and how many times longer the other's p99 is."""
    ratio = round(other["p99"] / one["p99"], 2)
    return one["p50"], one["p99"], other["p50"], other["p99"], ratio, other["max"]


if __name__ == "__main__":
    main()
