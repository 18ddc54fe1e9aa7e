"""The driver of the open loops compared with wrk: both load the same servers in a closed loop.

``python -m benchmarks.crosscheck`` writes ``results/crosscheck.json`` and exits 1 when the driver's median
rate is more than 5 % from wrk's, or its median latency more than 20 %. Plumbline on a stock gevent worker
is not used here: its loop serves connections unfairly, so that p50 depends on the client.
"""

from __future__ import annotations

import json
import statistics
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.arms import ARMS
from benchmarks.environments import ROOT
from benchmarks.loads import drive, drive_closed_by_driver
from benchmarks.machine import commit, machine, rfc3339
from benchmarks.plan import Cell
from benchmarks.server_process import Running, core_pair, running

FILE = ROOT / "benchmarks" / "results" / "crosscheck.json"
ON = ("floor-asgi", "fastapi-async")
CONNECTIONS, SECONDS, WARM_UP_SECONDS, REPEATS = 64, 3.0, 1.0, 5
RATE_LIMIT, P50_LIMIT = 0.05, 0.20


@dataclass(frozen=True, slots=True)
class Pair:
    """Both generators on one server: every repeat's rate (requests/s) and p50 by generator."""

    arm: str
    rates: dict[str, list[float]]
    p50s_ms: dict[str, list[float]]
    generator_busy: dict[str, float]

    @property
    def rate_off(self) -> float:
        """The driver's median rate against wrk's, 0 for the same."""
        return _median(self.rates["driver"]) / _median(self.rates["wrk"]) - 1

    @property
    def p50_off(self) -> float:
        """The driver's median p50 against wrk's, 0 for the same."""
        return _median(self.p50s_ms["driver"]) / _median(self.p50s_ms["wrk"]) - 1

    @property
    def agrees(self) -> bool:
        """Whether both are within the limits."""
        return abs(self.rate_off) <= RATE_LIMIT and abs(self.p50_off) <= P50_LIMIT


def measure(server: Running, load_core: int | None, repeats: int = REPEATS, seconds: float = SECONDS) -> Pair:
    """Load the server with each generator in turn."""
    cell = Cell(server.arm.name, server.model, 1, CONNECTIONS, "main")
    rates: dict[str, list[float]] = {"wrk": [], "driver": []}
    p50s: dict[str, list[float]] = {"wrk": [], "driver": []}
    busy = {"wrk": 0.0, "driver": 0.0}
    drive(server, cell, WARM_UP_SECONDS, load_core)
    for _ in range(repeats):
        for name, generator in (("wrk", drive), ("driver", drive_closed_by_driver)):
            load = generator(server, cell, seconds, load_core)
            rates[name].append(load.rate)
            p50s[name].append(load.latency_ms["p50"])
            busy[name] = max(busy[name], load.generator_busy)
    return Pair(server.arm.name, rates, p50s, busy)


def save(pairs: list[Pair], path: Path = FILE) -> None:
    """Keep what was found, with the limits that it was held to."""
    found = [{**asdict(p), "rate_off": p.rate_off, "p50_off": p.p50_off, "agrees": p.agrees} for p in pairs]
    said = {"measured": rfc3339(datetime.now(UTC)), **commit(), "machine": machine()}
    limits = {
        "rate_limit": RATE_LIMIT,
        "p50_limit": P50_LIMIT,
        "connections": CONNECTIONS,
        "seconds": SECONDS,
    }
    path.write_text(json.dumps({**said, **limits, "pairs": found}, indent=1) + "\n")


def told(path: Path = FILE) -> list[str]:
    """What was found, in a sentence for both pages; nothing when it was not measured."""
    if not path.exists():
        return []
    found = json.loads(path.read_text())
    pairs = ", ".join(f"{p['arm']} {p['rate_off']:+.1%} and {p['p50_off']:+.1%}" for p in found["pairs"])
    return [
        "The driver of the open loops against wrk, both in a closed loop at "
        f"{found['connections']} connections "
        f"(`python -m benchmarks.crosscheck`, commit `{found['commit']}`), rate and p50: {pairs}."
    ]


def table(pairs: list[Pair]) -> Table:
    """For a terminal."""
    shown = Table(
        "server",
        "generator",
        "requests/s",
        "off",
        "p50 ms",
        "off",
        "generator busy",
        title="driver against wrk",
    )
    for pair in pairs:
        for name in ("wrk", "driver"):
            off = (f"{pair.rate_off:+.1%}", f"{pair.p50_off:+.1%}") if name == "driver" else ("", "")
            rate, p50 = _median(pair.rates[name]), _median(pair.p50s_ms[name])
            shown.add_row(
                pair.arm,
                name,
                f"{rate:,.0f}",
                off[0],
                f"{p50:.2f}",
                off[1],
                f"{pair.generator_busy[name]:.0%}",
            )
    return shown


def _median(values: list[float]) -> float:
    return statistics.median(values)


@click.command(help=__doc__)
def main() -> None:
    """Measure both generators on each server."""
    console = Console(stderr=True)
    server_core, load_core = core_pair()
    pairs = []
    for name in track(ON, "driver against wrk", console=console):
        with running(ARMS[name], "lr", server_core) as server:
            pairs.append(measure(server, load_core))
    save(pairs)
    console.print(table(pairs))
    sys.exit(0 if all(pair.agrees for pair in pairs) else 1)


if __name__ == "__main__":
    main()
