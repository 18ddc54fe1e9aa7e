"""How soon a fresh server answers, and what it has taken by then: this project and the strongest typed peer.

``python -m benchmarks.studies.start [--turns N] [--model lr] [--write]`` starts one worker of each in turns, so
that a busy machine is busy for all of them, and prints a table. A server has started when its first prediction
is right. CPU seconds and memory (PSS) are those of the whole process tree.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Console

from benchmarks.arms import ARMS
from benchmarks.blocks import replace_block, table
from benchmarks.server_process import running
from benchmarks.workload import MODELS

NAMES = ("plumbline", "fastapi-batched")
#: A worker tidies up after it has loaded.
REST_SECONDS = 1.0

say = Console(stderr=True).print


class Start(NamedTuple):
    """One start: seconds to the first right answer, CPU seconds until then, MiB afterwards."""

    seconds: float
    cpu_seconds: float
    mib: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--model", choices=sorted(MODELS), default="lr")
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args()
    starts: dict[str, list[Start]] = {name: [] for name in NAMES}
    for turn in range(options.turns):
        for name in NAMES:
            say(f"turn {turn + 1} of {options.turns}: {name}")
            starts[name].append(measured(name, options.model))
    text = page(starts, options.model)
    if options.write:
        replace_block("start", text)
    print(text)


def measured(name: str, model: str) -> Start:
    """Start the arm with the model once; raises SystemExit where its first answer is wrong."""
    with running(ARMS[name], model, None) as server:
        if server.cold_start_seconds is None:
            raise SystemExit(f"{name} gave a wrong answer")
        cpu_seconds = server.cpu_seconds()
        time.sleep(REST_SECONDS)
        return Start(server.cold_start_seconds, cpu_seconds, server.pss_bytes() / 2**20)


def page(starts: dict[str, list[Start]], model: str) -> str:
    """For docs/performance.md: medians, the least and the most, and the ratio of the medians to the peer's."""
    peer = [statistics.median(column) for column in zip(*starts[NAMES[-1]], strict=True)]
    rows = [
        (name, *(_cell(column, of) for column, of in zip(zip(*starts[name], strict=True), peer, strict=True)))
        for name in NAMES
    ]
    head = ("arm", "first answer after, s", "CPU until then, s", "memory, MiB")
    turns = len(starts[NAMES[0]])
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}"
    note = f"({turns} turns, {MODELS[model].title}; {machine}: `python -m benchmarks.studies.start --write`)"
    return f"{table(head, rows)}\n\n{note}"


def _cell(column: Sequence[float], peer: float) -> str:
    middle = statistics.median(column)
    return f"{middle:.3g} [{min(column):.3g}–{max(column):.3g}] (×{middle / peer:.2f})"


if __name__ == "__main__":
    main()
