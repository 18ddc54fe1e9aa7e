"""The comparison in two tables for people who will not read all of it: what each arm answers, and which goals are reached.

``python -m benchmarks.headline`` computes both from ``results/full.json``: one for README.md, one for docs/performance.md.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from typing import Any

import click

from benchmarks.arms import ARMS
from benchmarks.blocks import replace_block
from benchmarks.environments import ROOT
from benchmarks.plan import MODELS

FILE = ROOT / "benchmarks" / "results" / "full.json"
TITLES = {"lr": "logistic regression", "hgb": "gradient boosting", "rf": "random forest"}
SHOWN = (
    "plumbline",
    "plumbline-compiled",
    "fastapi-expert",
    "fastapi-batched",
    "fastapi-async",
    "fastapi-tutorial",
    "flask-tutorial-gevent",
    "ray-serve-batched",
    "bentoml-batched",
    "mlserver",
    "litserve",
    "kserve",
    "grpc",
    "mlflow",
)
#: (peer, at least so many times its requests/s at 64 connections with logistic regression, boosting and forest)
RATIOS = (
    ("fastapi-tutorial", (7, 11, 45)),
    ("fastapi-batched", (1.5, 1.6, 1.8)),
    ("bentoml-batched", (10, 10, 8)),
    ("ray-serve-batched", (20, 20, 20)),
    ("grpc", (3, 4, 18)),
)
COMPILED = ("fastapi-batched", (1.6, 1.8, 3))
ROWS_256 = ("fastapi-batched", (2, 1.4, 1.05))

Cells = Mapping[str, Any]


def of(cells: Cells, key: str, *path: str) -> float | None:
    """The median over the repeats of a cell, or None without one."""
    found = []
    for repeat in cells.get(key, {}).get("repeats", ()):
        value = repeat
        for name in path:
            value = value[name]
        found.append(float(value))
    return statistics.median(found) if found else None


def rate(cells: Cells, arm: str, model: str, rows: int = 1) -> float | None:
    """Requests a second at 64 connections."""
    return of(cells, f"{arm} {model} {rows}r 64c {'main' if rows == 1 else 'side'} 1w", "rate")


def rates(cells: Cells) -> str:
    """Requests a second of each arm and model, and how they compare with plumbline's."""
    lines = [
        f"| one row, 64 connections, one core: requests/s | {' | '.join(TITLES.values())} |",
        "|---|---:|---:|---:|",
    ]
    for arm in SHOWN:
        label = f"**{arm}**" if arm.startswith("plumbline") else arm
        cells_of = []
        for model in MODELS:
            own, base = rate(cells, arm, model), rate(cells, "plumbline", model)
            cells_of.append("–" if own is None or not base else f"{own:,.0f} (×{own / base:.2f})")
        lines.append(f"| {label}{' (label only)' if ARMS[arm].label_only else ''} | {' | '.join(cells_of)} |")
    return "\n".join(lines)


def goals(cells: Cells) -> list[tuple[str, str, str, bool | None]]:
    """(goal, what is asked, what was reached, whether that is enough or None without a figure)."""
    found: list[tuple[str, str, str, bool | None]] = []

    def at_least(name: str, asked: float, reached: float | None, unit: str = "×") -> None:
        shown = "not measured" if reached is None else f"{reached:.2f}{unit}"
        found.append((name, f"≥ {asked:g}{unit}", shown, None if reached is None else reached >= asked))

    def below(name: str, asked: float, reached: float | None, unit: str = " ms") -> None:
        shown = "not measured" if reached is None else f"{reached:.2f}{unit}"
        found.append((name, f"≤ {asked:g}{unit}", shown, None if reached is None else reached <= asked))

    def ratio(one: float | None, other: float | None) -> float | None:
        return None if one is None or not other else one / other

    for arm, peer, asked, rows in (
        *(("plumbline", peer, asked, 1) for peer, asked in RATIOS),
        ("plumbline-compiled", *COMPILED, 1),
        ("plumbline", *ROWS_256, 256),
    ):
        for model, times in zip(MODELS, asked, strict=True):
            what = f"{rows} row{'s' * (rows > 1)}, 64 connections, {TITLES[model]}: {arm} to {peer}"
            at_least(what, times, ratio(rate(cells, arm, model, rows), rate(cells, peer, model, rows)))
    for model in MODELS:
        reached = ratio(rate(cells, "plumbline", model), rate(cells, "fastapi-expert", model))
        shown = "not measured" if reached is None else f"{reached:.2f}×"
        found.append((f"the same to fastapi-expert, {TITLES[model]}", "reported", shown, None))

    def alone(arm: str, model: str) -> float | None:
        return of(cells, f"{arm} {model} 1r 1c side 1w", "latency_ms", "p50")

    for model in MODELS[:2]:
        name = f"one connection, p50, {TITLES[model]}: plumbline to fastapi-async"
        below(name, 0.9, ratio(alone("plumbline", model), alone("fastapi-async", model)), "×")
    name = "one connection, p50, random forest: plumbline-compiled to fastapi-tutorial"
    below(name, 0.05, ratio(alone("plumbline-compiled", "rf"), alone("fastapi-tutorial", "rf")), "×")
    for one, other, asked_times in (
        ("floor-fast-lane", "floor-asgi", 1.4),
        ("floor-flask", "floor-fastapi", 1.1),
    ):
        at_least(f"{one} to {other}", asked_times, ratio(rate(cells, one, "lr"), rate(cells, other, "lr")))
    for key, name, limit in (
        ("plumbline lr 1r 1000c open 1000/s 1w", "open loop, 1,000/s over 1,000 connections, p99", 25.0),
        ("plumbline lr 1r 256c open 5000/s 1w", "open loop, 5,000/s over 256 connections, p99", 100.0),
    ):
        below(name, limit, of(cells, key, "latency_ms", "p99"))
        errors = sum(r["errors"] + r["timeouts"] for r in cells.get(key, {}).get("repeats", ()))
        below(f"{name.rpartition(',')[0]}, errors", 0, float(errors), "")
    for model in MODELS:
        key = f"plumbline {model} 1r 64c main 1w"
        below(
            f"p99 to p50 at 64 connections, {TITLES[model]}",
            4,
            ratio(of(cells, key, "latency_ms", "p99"), of(cells, key, "latency_ms", "p50")),
            "×",
        )
    two = next((key for key in cells if key.startswith("plumbline lr") and key.endswith("2w")), "")
    at_least(
        "two workers on two cores to one", 1.6, ratio(of(cells, two, "rate"), rate(cells, "plumbline", "lr"))
    )
    return found


def goal_table(cells: Cells) -> str:
    """As markdown."""
    marks = {True: "reached", False: "**missed**", None: ""}
    lines = ["| goal | asked | measured | |", "|---|---:|---:|---|"]
    lines += [
        f"| {name} | {asked} | {reached} | {marks[enough]} |" for name, asked, reached, enough in goals(cells)
    ]
    return "\n".join(lines)


@click.command(help=__doc__)
def main() -> None:
    """Compute and write."""
    results = json.loads(FILE.read_text())
    cells, commit = results["cells"], results["parts"][-1]["commit"]
    about = f"From `benchmarks/results/full.json`, commit `{commit}`: `make bench`, then `python -m benchmarks.headline`."
    replace_block("comparison", f"{rates(cells)}\n\n{about}", ROOT / "README.md")
    replace_block("goals", f"{goal_table(cells)}\n\n{about}")


if __name__ == "__main__":
    main()
