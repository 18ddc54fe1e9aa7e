"""What a fresh server costs: cold start, memory a worker, and the time of one row for each demo model.

``python -m benchmarks.studies.footprint [--workers N] [--write]`` starts gunicorn over a store of the demo
models and prints a table. Figures of one machine in one run: read them as such.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from benchmarks.blocks import replace_block, table
from benchmarks.environments import ROOT
from benchmarks.processes import pss_bytes_of
from benchmarks.server_process import over_store, running
from benchmarks.studies.store_server import fetch, post
from models.store import Store
from models.zoo import publish_all

REQUESTS = 500


def main() -> None:
    """Measure and print; ``--json`` for programs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        store = Path(directory) / "store"
        publish_all(Store(store))
        figures = measure(store, options.workers)
    if options.write:
        replace_block("footprint", shown(figures), ROOT / "README.md")
    print(json.dumps(figures, indent=2) if options.json else shown(figures))


def measure(store: Path, workers: int) -> dict[str, Any]:
    """Start a server over the store, ask it, end it. Seconds, MiB and milliseconds as the keys say."""
    with running(over_store(store, PLUMBLINE_LOG_LEVEL="error"), None, None, workers=workers) as server:
        names = [m["name"] for m in json.loads(fetch(server.port, "/models"))["models"]]
        time.sleep(2 * workers)  # every worker has loaded by now, not only the one that answered
        latency = {}
        for name in track(names, "asking", console=Console(stderr=True), transient=True):
            example = json.loads(fetch(server.port, f"/models/{name}/versions/stable"))["example"]["request"]
            latency[name] = _latency_ms(server.port, f"/models/{name}/predict", json.dumps(example).encode())
        children = [stat.pid for stat in server.tree.processes() if stat.parent == server.pid]
        return {
            "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
            "workers": workers,
            "cold_start_seconds": round(server.cold_start_seconds or 0.0, 2),
            "pss_worker_mib": [round(pss_bytes_of(pid) / 2**20, 1) for pid in children],
            "pss_arbiter_mib": round(pss_bytes_of(server.pid) / 2**20, 1),
            "one_row_p50_ms": {name: round(ms[0], 2) for name, ms in latency.items()},
            "one_row_p99_ms": {name: round(ms[1], 2) for name, ms in latency.items()},
        }


def shown(figures: dict[str, Any]) -> str:
    """The figures as the README shows them."""
    workers = ", ".join(map(str, figures["pss_worker_mib"]))
    p50, p99 = figures["one_row_p50_ms"], figures["one_row_p99_ms"]
    rows = [
        ("cold start to ready, all demo models", f"{figures['cold_start_seconds']} s"),
        (
            f"memory (PSS), {figures['workers']} workers with all demo models",
            f"{workers} MiB, arbiter {figures['pss_arbiter_mib']} MiB",
        ),
        *((f"one row, one connection, `{n}`", f"p50 {p50[n]} ms, p99 {p99[n]} ms") for n in p50),
    ]
    return f"{table(('figure', 'value'), rows, words=2)}\n\n({figures['machine']})"


def _latency_ms(port: int, path: str, body: bytes) -> tuple[float, float]:
    """p50 and p99 of 500 requests, one after the other on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    times = []
    for _ in range(REQUESTS + 20):
        began = time.perf_counter()
        post(connection, path, body)
        times.append((time.perf_counter() - began) * 1000)
    connection.close()
    quantiles = statistics.quantiles(times[20:], n=100)
    return quantiles[49], quantiles[98]


if __name__ == "__main__":
    main()
