"""What a compiled form gains over its original: the time of one call of a runtime, without a server.

``python -m benchmarks.studies.compiled [--json]`` publishes the models of the comparison into a temporary
store, once for every choice of ``--compile``, calls each version in turn, and prints a table. Figures of
one machine in one run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.blocks import table
from benchmarks.environments import ROOT
from benchmarks.workload import MODELS, artifact, rows
from models.compiled import CHOICES
from models.names import Version
from models.publishing import publish
from models.runtimes.loading import load_version
from models.store import Store

CALLS = 300
ROWS = (1, 64)
OPEN_ALONE = """
import sys
from models.runtimes.loading import load_version
from models.store import Store
runtime = load_version(Store(sys.argv[1]).get(sys.argv[2], int(sys.argv[3])))
print(open("/proc/self/smaps_rollup").read())
"""

#: Rounds of calls, one version after the other, so that a slow moment of the machine is shared.
ROUNDS = 6


@dataclass(frozen=True, slots=True)
class Line:
    """One version: medians in microseconds of a call with 1 and with 64 rows, and why which form serves.

    mib : proportional set size of a process that has opened the version and nothing else.
    """

    model: str
    compile: str
    form: str
    microseconds: tuple[float, ...]
    max_abs_difference: float
    kib: float
    mib: float
    publish_seconds: float
    why: str


def measure(names: Sequence[str], calls: int = CALLS) -> Iterator[Line]:
    """Every form of the named models."""
    with tempfile.TemporaryDirectory() as directory:
        store = Store(Path(directory))
        for name in names:
            sample = np.array(rows(name, 500))
            versions, took = [], []
            for choice in CHOICES:
                began = time.perf_counter()
                versions.append(publish(store, name, artifact(name), sample, compile=choice))
                took.append(time.perf_counter() - began)
            runtimes = [load_version(version) for version in versions]
            batches = [sample[:n] for n in ROWS]
            times: list[list[list[float]]] = [[[] for _ in batches] for _ in runtimes]
            for _ in range(ROUNDS):
                for runtime, of_runtime in zip(runtimes, times, strict=True):
                    for batch, found in zip(batches, of_runtime, strict=True):
                        found += _microseconds(runtime, batch, calls // ROUNDS)
            for choice, version, seconds, of_runtime in zip(CHOICES, versions, took, times, strict=True):
                record = version.manifest.compiled
                file = version.manifest.files.get(record.get("file", "model.joblib"))
                yield Line(
                    name,
                    choice,
                    record.get("form", "original")
                    + "".join(f" {record[k]}" for k in ("dtype",) if k in record),
                    tuple(round(statistics.median(found), 1) for found in of_runtime),
                    record.get("max_abs_difference", 0.0),
                    round(file.size_bytes / 1024, 1) if file else 0.0,
                    _memory_mib(store, version.key),
                    round(seconds, 1),
                    record.get("why", ""),
                )


def shown(lines: Sequence[Line]) -> str:
    """As the documentation shows it; the choices for which the original serves follow, with the reason."""
    rows, originals = [], []
    for line in lines:
        if line.compile != "none" and line.form.startswith("original"):
            originals.append(f"- {line.model}, {line.compile}: {line.why}")
            continue
        deviation = "" if line.compile == "none" else f"{line.max_abs_difference:.1g}"
        times = [f"{value:,.1f}" for value in line.microseconds]
        sizes = [f"{line.kib:,.0f}", f"{line.mib:,.0f}"]
        rows.append([MODELS[line.model].title, line.compile, line.form, *times, deviation, *sizes])
    head = ("1 row, µs", "64 rows, µs", "largest deviation", "file, KiB", "process, MiB")
    machine = f"({os.cpu_count()} cores, Python {platform.python_version()})"
    text = table(("model", "`--compile`", "form", *head), rows, words=8)
    return "\n".join([text, "", *originals, "", machine])


def main() -> None:
    """Measure and print; ``--json`` for programs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    lines = list(measure(list(MODELS)))
    print(json.dumps([asdict(line) for line in lines], indent=2) if options.json else shown(lines))


def _memory_mib(store: Store, version: Version) -> float:
    """Measured in a process of its own, with NumPy in it as in every worker."""
    arguments = [str(store.path), version.name, str(version.number)]
    done = subprocess.run(
        [sys.executable, "-c", OPEN_ALONE, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    (pss,) = (line for line in done.stdout.splitlines() if line.startswith("Pss:"))
    return round(int(pss.split()[1]) / 1024, 1)


def _microseconds(runtime: Any, batch: np.ndarray, calls: int) -> list[float]:
    runtime.predict(batch, {})
    times = []
    for _ in range(calls):
        began = time.perf_counter()
        runtime.predict(batch, {})
        times.append((time.perf_counter() - began) * 1e6)
    return times


if __name__ == "__main__":
    main()
