"""What each part of Plumbline costs: the same server with one part switched off at a time.

``python -m benchmarks.studies.ablation`` measures every variant in turns, at 64 connections and at one, and
writes the table into docs/performance.md. The figures of earlier code are in
``results/before-speed-work.json``.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from dataclasses import replace

import click
from rich.console import Console
from rich.progress import track

from benchmarks.arms import ARMS
from benchmarks.blocks import replace_block, table
from benchmarks.environments import ROOT
from benchmarks.loads import drive
from benchmarks.machine import commit, machine
from benchmarks.plan import MODELS, Cell
from benchmarks.server_process import core_pair, running

FILE = ROOT / "benchmarks" / "results" / "ablation.json"
SECONDS, WARM_UP_SECONDS, REPEATS = 2.0, 1.0, 2

VARIANTS: Mapping[str, Mapping[str, str]] = {
    "everything on": {},
    "no batching": {"PLUMBLINE_BATCHING": "0"},
    "gunicorn's own worker": {"PLUMBLINE_WORKER_CLASS": "gevent"},
    "no access log": {"PLUMBLINE_ACCESS_LOG": "0"},
    "no metrics": {"PLUMBLINE_METRICS": "0"},
}

#: (model, variant, connections) to what each repeat found: requests/s, CPU us a request, p50 ms, p99 ms.
Found = dict[tuple[str, str, int], list[tuple[float, float, float, float]]]


def measure(console: Console) -> Found:
    """Every variant in turns."""
    server_core, load_core = core_pair()
    found: Found = {}
    turns = [(model, variant) for _ in range(REPEATS) for model in MODELS for variant in VARIANTS]
    for model, variant in track(turns, "variants", console=console):
        arm = ARMS["plumbline"]
        with running(replace(arm, env={**arm.env, **VARIANTS[variant]}), model, server_core) as server:
            for connections in (64, 1):
                cell = Cell(arm.name, model, 1, connections, "main")
                drive(server, cell, WARM_UP_SECONDS, load_core)
                before = server.cpu_seconds()
                load = drive(server, cell, SECONDS, load_core)
                cpu = (server.cpu_seconds() - before) / load.answered * 1e6
                row = (load.rate, cpu, load.latency_ms["p50"], load.latency_ms["p99"])
                found.setdefault((model, variant, connections), []).append(row)
    return found


def shown(found: Found) -> str:
    """Medians, as Markdown."""
    rows = []
    for model in MODELS:
        whole = statistics.median(row[0] for row in found[model, "everything on", 64])
        for variant in VARIANTS:
            rate, cpu, p50, p99 = map(statistics.median, zip(*found[model, variant, 64], strict=True))
            alone = statistics.median(row[2] for row in found[model, variant, 1])
            figures = (f"{cpu:.1f}", *(f"{ms:.2f}" for ms in (p50, p99, alone)))
            rows.append((model, variant, f"{rate:,.0f}", f"{rate / whole:.2f}", *figures))
    head = ("requests/s at 64", "ratio", "CPU us a request", "p50 ms", "p99 ms", "p50 ms alone")
    return table(("model", "variant", *head), rows, words=2)


@click.command(help=__doc__)
def main() -> None:
    """Measure and write."""
    found = measure(Console(stderr=True))
    kept = [
        {"model": m, "variant": v, "connections": c, "repeats": rows} for (m, v, c), rows in found.items()
    ]
    FILE.write_text(json.dumps({"machine": machine(), **commit(), "found": kept}, indent=1) + "\n")
    text = shown(found)
    about = f"{REPEATS} turns of {SECONDS:g} s, commit `{commit()['commit']}`: "
    about += "`python -m benchmarks.studies.ablation`."
    replace_block("ablation", f"{text}\n\n{about}")
    click.echo(text)


if __name__ == "__main__":
    main()
