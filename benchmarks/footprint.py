"""What a fresh server costs: cold start, memory a worker, and the time of one row for each demo model.

``python -m benchmarks.footprint [--workers N] [--write]`` starts gunicorn as ``make serve`` does, on a free port with the demo
models, and prints a table. Figures of one machine in one run: read them as such.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.progress import track

from benchmarks.blocks import replace_block
from benchmarks.environments import ROOT
from benchmarks.processes import pss_bytes_of
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
        replace_block("footprint", table(figures), ROOT / "README.md")
    print(json.dumps(figures, indent=2) if options.json else table(figures))


def measure(store: Path, workers: int) -> dict[str, object]:
    """Start a server over the store, ask it, end it. Seconds, MiB and milliseconds as the keys say."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    env = {
        "PORT": str(port),
        "WORKERS": str(workers),
        "PLUMBLINE_STORE": str(store),
        "PLUMBLINE_ACCESS_LOG": "0",
    }
    began = time.perf_counter()
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "wsgi:app", "--log-level", "error"], env={**os.environ, **env}
    )
    try:
        first = _until_ready(port, began)
        names = [m["name"] for m in _get(port, "/models")["models"]]
        time.sleep(2 * workers)  # every worker has loaded by now, not only the one that answered
        latency = {}
        for name in track(names, "asking", console=Console(stderr=True), transient=True):
            example = _get(port, f"/models/{name}/versions/stable")["example"]["request"]
            latency[name] = _latency_ms(port, f"/models/{name}/predict", json.dumps(example).encode())
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        return {
            "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
            "workers": workers,
            "cold_start_seconds": round(first, 2),
            "pss_worker_mib": [round(pss_bytes_of(int(pid)) / 2**20, 1) for pid in children],
            "pss_arbiter_mib": round(pss_bytes_of(server.pid) / 2**20, 1),
            "one_row_p50_ms": {name: round(ms[0], 2) for name, ms in latency.items()},
            "one_row_p99_ms": {name: round(ms[1], 2) for name, ms in latency.items()},
        }
    finally:
        server.terminate()
        server.wait(30)


def table(figures: dict[str, object]) -> str:
    """The figures as the README shows them."""
    pss = ", ".join(map(str, figures["pss_worker_mib"]))  # type: ignore[call-overload]
    lines = [
        "| figure | value |",
        "|---|---|",
        f"| cold start to ready, all demo models | {figures['cold_start_seconds']} s |",
        f"| memory (PSS), {figures['workers']} workers with all demo models | {pss} MiB, "
        f"arbiter {figures['pss_arbiter_mib']} MiB |",
    ]
    p50, p99 = figures["one_row_p50_ms"], figures["one_row_p99_ms"]
    assert isinstance(p50, dict) and isinstance(p99, dict)
    lines += [f"| one row, one connection, `{n}` | p50 {p50[n]} ms, p99 {p99[n]} ms |" for n in p50]
    return "\n".join([*lines, "", f"({figures['machine']})"])


def _until_ready(port: int, began: float) -> float:
    while time.perf_counter() - began < 60:
        try:
            if _get(port, "/ready")["status"] == "ready":
                return time.perf_counter() - began
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.02)
    raise SystemExit("the server did not become ready within 60 seconds")


def _latency_ms(port: int, path: str, body: bytes) -> tuple[float, float]:
    """p50 and p99 of 500 requests, one after the other on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    times = []
    for _ in range(REQUESTS + 20):
        began = time.perf_counter()
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        reply.read()
        times.append((time.perf_counter() - began) * 1000)
        if reply.status != 200:
            raise SystemExit(f"{path} answered {reply.status}")
    connection.close()
    quantiles = statistics.quantiles(times[20:], n=100)
    return quantiles[49], quantiles[98]


def _get(port: int, path: str) -> dict[str, object]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        found: dict[str, object] = json.loads(connection.getresponse().read())
        return found
    finally:
        connection.close()


if __name__ == "__main__":
    main()
