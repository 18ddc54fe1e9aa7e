"""Where the time of a request goes: a sampling profile of a server under load, by its parts.

``python -m benchmarks.studies.profile`` drives ``plumbline`` with each model at 64 connections, 1 and 256
rows a request, samples it with py-spy (https://github.com/benfred/py-spy: ``pip install py-spy``), and
prints the share of the samples that had each part on top. ``--write`` puts the table into
docs/performance.md.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path

import click
from rich.console import Console

from benchmarks.arms import ARMS
from benchmarks.blocks import replace_block, table
from benchmarks.loads import drive
from benchmarks.machine import commit
from benchmarks.plan import MODELS, Cell
from benchmarks.server_process import Running, core_pair, running

SECONDS, SAMPLES_A_SECOND = 5, 500
ROWS = (1, 256)

#: (part, what the path of the function's file holds, its name where that matters); the first that fits.
PARTS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        "the kernel: send and receive",
        ("gevent/_socketcommon", "app/worker/connection"),
        ("send", "recv", "send_owed"),
    ),
    (
        "event loop, greenlets",
        ("gevent/", "greenlet", "app/concurrency/"),
        (),
    ),
    ("the model", ("sklearn/", "numpy/", "scipy/", "models/", "app/inference/model"), ()),
    ("batching", ("app/inference/", "app/engine/", "app/catalog/"), ()),
    ("worker: heads, replies", ("app/worker/", "gunicorn/"), ()),
    ("log, metrics, ids, headers", ("app/monitoring/", "prometheus_client/", "app/api/hooks"), ()),
    ("reading and checking JSON", ("schemas/json_body", "schemas/matrix"), ()),
    ("reading and checking JSON", ("app/api/request",), ("read_json", "_wait_for_body", "_inflate")),
    ("the view, writing JSON", ("schemas/", "app/api/json_provider", "app/api/predict"), ()),
    ("Flask", ("flask/", "werkzeug/", "app/api/", "app/switch"), ()),
)
OTHER = "the rest"
#: A thread that waits here for work is idle, which py-spy does not see: the wait is one of C.
IDLE = "acquire_with_timeout (gevent/_threading.py"


def part_of(frame: str) -> str:
    """The part that a frame of py-spy's, ``function (path/file.py:line)``, belongs to."""
    function, _, place = frame.partition(" (")
    name = function.rpartition(".")[2]
    for part, places, names in PARTS:
        if any(where in place for where in places) and (not names or name in names):
            return part
    return OTHER


def shares(raw: str) -> dict[str, float]:
    """Part -> its share of the samples, from lines of py-spy: ``frame;frame;.. count``, the last on top."""
    counts: Counter[str] = Counter()
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        top = stack.rpartition(";")[2]
        if not top.startswith(IDLE):
            counts[part_of(top)] += int(count)
    total = sum(counts.values()) or 1
    return {part: count / total for part, count in counts.items()}


def profiled(server: Running, cell: Cell, core: int | None) -> tuple[dict[str, float], float]:
    """The shares, and the CPU microseconds of a request without the profiler."""
    drive(server, cell, 1.0, core)
    before = server.cpu_seconds()
    load = drive(server, cell, 2.0, core)
    cpu = (server.cpu_seconds() - before) / load.answered * 1e6
    loading = threading.Thread(target=drive, args=(server, cell, SECONDS + 3.0, core))
    loading.start()
    worker = max(stat.pid for stat in server.tree.processes())
    with tempfile.NamedTemporaryFile(suffix=".raw") as file:
        command = ["py-spy", "record", "--pid", str(worker), "--duration", str(SECONDS), "--format", "raw"]
        command += ["--rate", str(SAMPLES_A_SECOND), "--output", file.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        raw = Path(file.name).read_text()
    loading.join()
    if done.returncode != 0:
        raise SystemExit(f"py-spy failed: {' '.join(done.stderr.split())[-300:]}")
    return shares(raw), cpu


@click.command(help=__doc__)
@click.option("--write", is_flag=True, help="Put the table into docs/performance.md.")
def main(write: bool) -> None:
    """Measure and print."""
    if shutil.which("py-spy") is None:
        sys.exit("py-spy is not installed: pip install py-spy")
    server_core, load_core = core_pair()
    found: dict[tuple[str, int], tuple[dict[str, float], float]] = {}
    for model in MODELS:
        with running(ARMS["plumbline"], model, server_core) as server:
            for rows in ROWS:
                cell = Cell("plumbline", model, rows, 64, "main" if rows == 1 else "side")
                found[model, rows] = profiled(server, cell, load_core)
    text = shown(found)
    if write:
        about = f"{SECONDS} s each, commit `{commit()['commit']}`: "
        about += "`python -m benchmarks.studies.profile --write`."
        replace_block("profile", f"{text}\n\n{about}")
    Console().print(text, markup=False)


def shown(found: dict[tuple[str, int], tuple[dict[str, float], float]]) -> str:
    """Microseconds of each part, which is its share of the CPU time of a request."""
    heads = [f"{model}, {rows} row{'s' * (rows > 1)}" for model, rows in found]
    parts = [part for part, _, _ in PARTS] + [OTHER]
    rows = [
        [p, *(f"{part_shares.get(p, 0.0) * cpu:,.1f}" for part_shares, cpu in found.values())] for p in parts
    ]
    return table(["us of a request", *heads], [*rows, ["all", *(f"{cpu:,.1f}" for _, cpu in found.values())]])


if __name__ == "__main__":
    main()
