"""What a run found, as one JSON file: every raw repeat, and everything needed to judge it.

machine     cpu, cores, memory_gib, kernel, python, wrk
parts       one for each time that the run was started or resumed: started, ended, commit, dirty
arms        name -> status (measured | wrong | not measured), reason, form, note, label_only, protocol, digest of the
            peer's files, versions, parity and cold_start_seconds by model
cells       what was measured (the fields of plan.Cell), each with its repeats (Load, and cpu_seconds, pss_bytes)
"""

from __future__ import annotations

import itertools
import json
import os
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.plan import Cell

FORMAT = 1
#: A generator that was busier than this may have been the bottleneck itself.
BUSY_LIMIT = 0.90
BOOTSTRAP_ROUNDS = 2000


@dataclass
class Results:
    """The file's content. ``path`` is where it is kept; every change is saved at once, by rename."""

    path: Path
    machine: dict[str, Any] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)
    parts: list[dict[str, Any]] = field(default_factory=list)
    arms: dict[str, dict[str, Any]] = field(default_factory=dict)
    cells: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read a file that ``save`` wrote; raises ValueError for one of another format."""
        data = json.loads(path.read_text())
        if data.pop("format", None) != FORMAT:
            raise ValueError(f"{path} is not a result of format {FORMAT}")
        return cls(path=path, **data)

    def save(self) -> None:
        """Replace the file in one step."""
        data = {"format": FORMAT, **{k: v for k, v in asdict(self).items() if k != "path"}}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps(data, indent=1) + "\n")
        os.replace(temporary, self.path)

    def repeats(self, cell: Cell) -> list[dict[str, Any]]:
        """The raw repeats of a cell so far."""
        found: list[dict[str, Any]] = self.cells.get(cell.key, {}).get("repeats", [])
        return found

    def add(self, cell: Cell, repeat: dict[str, Any]) -> None:
        """Keep one more repeat of a cell."""
        entry = self.cells.setdefault(cell.key, {**asdict(cell), "repeats": []})
        entry["repeats"].append(repeat)
        self.save()

    def find(self, **wanted: Any) -> list[dict[str, Any]]:
        """The cells whose fields have these values."""
        return [c for c in self.cells.values() if all(c[name] == value for name, value in wanted.items())]


@dataclass(frozen=True, slots=True)
class Figure:
    """A median over repeats with a 95 % bootstrap interval. ``doubtful`` says why it may not be the server's own."""

    median: float
    low: float
    high: float
    repeats: int
    doubtful: str = ""


def figure(cell: dict[str, Any], value: Callable[[dict[str, Any]], float]) -> Figure | None:
    """One figure of a cell, ``value`` taken of each repeat; None when nothing was measured."""
    repeats = [r for r in cell["repeats"] if r.get("answered")]
    if not repeats:
        return None
    values = [value(r) for r in repeats]
    low, high = bootstrap(values)
    busiest = max(r["generator_busy"] for r in repeats)
    doubtful = f"the generator used {busiest:.0%} of its core" if busiest > BUSY_LIMIT else ""
    return Figure(statistics.median(values), low, high, len(values), doubtful)


def rate(cell: dict[str, Any]) -> Figure | None:
    """Answered requests a second."""
    return figure(cell, lambda r: float(r["rate"]))


def latency_ms(cell: dict[str, Any], quantile: str) -> Figure | None:
    """A latency quantile ("p50", "p95", "p99", "p99.9") in milliseconds."""
    return figure(cell, lambda r: float(r["latency_ms"][quantile]))


def cpu_seconds_per_1000(cell: dict[str, Any]) -> Figure | None:
    """CPU seconds of the server's whole process tree for 1000 answered requests."""
    return figure(cell, lambda r: 1000.0 * r["cpu_seconds"] / r["answered"])


def pss_mib(cell: dict[str, Any]) -> Figure | None:
    """Memory of the server's process tree after the load, shared pages counted once."""
    return figure(cell, lambda r: r["pss_bytes"] / 2**20)


def bootstrap(values: Sequence[float], rounds: int = BOOTSTRAP_ROUNDS, seed: int = 0) -> tuple[float, float]:
    """The middle 95 % of the medians of samples drawn with replacement (Efron, 1979); of up to five values, of all samples."""
    if len(values) <= 5:
        medians = sorted(map(statistics.median, itertools.product(values, repeat=len(values))))
        return medians[int(0.025 * len(medians))], medians[-1 - int(0.025 * len(medians))]
    drawn = random.Random(seed)
    medians = sorted(statistics.median(drawn.choices(values, k=len(values))) for _ in range(rounds))
    return medians[int(0.025 * rounds)], medians[int(0.975 * rounds) - 1]
