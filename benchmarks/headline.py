"""Two tables for people who will not read all of the comparison: what each arm answers, and goals reached.

``python -m benchmarks.headline`` computes both from ``results/full.json`` and writes the first into README.md, the
second into docs/performance.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import click

from benchmarks.arms import ARMS
from benchmarks.blocks import replace_block, table
from benchmarks.environments import ROOT
from benchmarks.plan import MODELS
from benchmarks.report.figures import Figures
from benchmarks.results import Results

FILE = ROOT / "benchmarks" / "results" / "full.json"
TITLES = {"lr": "logistic regression", "hgb": "gradient boosting", "rf": "random forest"}
SHOWN = [
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
]
#: (arm, peer, rows, at least this many times the peer's requests/s at 64 connections with each model)
RATIOS = (
    ("plumbline", "fastapi-tutorial", 1, (7, 11, 45)),
    ("plumbline", "fastapi-batched", 1, (1.5, 1.6, 1.8)),
    ("plumbline", "bentoml-batched", 1, (10, 10, 8)),
    ("plumbline", "ray-serve-batched", 1, (20, 20, 20)),
    ("plumbline", "grpc", 1, (3, 4, 18)),
    ("plumbline-compiled", "fastapi-batched", 1, (1.6, 1.8, 3)),
    ("plumbline", "fastapi-batched", 256, (2, 1.4, 1.05)),
)
#: (arm, peer, model, at most this many times the peer's p50 at one connection)
ALONE = (
    ("plumbline", "fastapi-async", "lr", 0.9),
    ("plumbline", "fastapi-async", "hgb", 0.9),
    ("plumbline-compiled", "fastapi-tutorial", "rf", 0.05),
)
#: (cell, what it is, at most this p99 in ms)
OPEN = (
    ("plumbline lr 1r 1000c open 1000/s 1w", "open loop, 1,000/s over 1,000 connections", 25),
    ("plumbline lr 1r 256c open 5000/s 1w", "open loop, 5,000/s over 256 connections", 100),
)
#: What is asked, its sign (≥, ≤, or reported), the limit, what was measured (NaN: nothing), the unit.
Goal = tuple[str, str, float, float, str]


def median(figures: Figures, key: str, measure: str = "rate") -> float:
    """The median of a cell, NaN without one."""
    cells = figures.cells[figures.cells.key == key]
    return float(cells[measure].iloc[0]) if len(cells) else math.nan


def rate(figures: Figures, arm: str, model: str, rows: int = 1) -> float:
    """Requests a second at 64 connections, NaN without a figure."""
    return median(figures, f"{arm} {model} {rows}r 64c {'main' if rows == 1 else 'side'} 1w")


def rates(figures: Figures) -> str:
    """Requests a second of each arm and model, and how they compare with plumbline's."""
    rows = []
    for arm in SHOWN:
        label = f"**{arm}**" if arm.startswith("plumbline") else arm
        reached = [(rate(figures, arm, m), rate(figures, "plumbline", m)) for m in MODELS]
        cells = [f"{own:,.0f} (×{own / base:.2f})" if own / base > 0 else "–" for own, base in reached]
        rows.append([label + " (label only)" * ARMS[arm].label_only, *cells])
    return table(["one row, 64 connections, one core: requests/s", *TITLES.values()], rows)


def goals(figures: Figures) -> Iterator[Goal]:
    """Every goal with what the figures say of it."""
    for arm, peer, rows, limits in RATIOS:
        for model, limit in zip(MODELS, limits, strict=True):
            what = f"{rows} row{'s' * (rows > 1)}, 64 connections, {TITLES[model]}: {arm} to {peer}"
            yield what, "≥", limit, rate(figures, arm, model, rows) / rate(figures, peer, model, rows), "×"
    for model in MODELS:
        reached = rate(figures, "plumbline", model) / rate(figures, "fastapi-expert", model)
        yield f"the same to fastapi-expert, {TITLES[model]}", "reported", 0, reached, "×"
    for arm, peer, model, limit in ALONE:
        own, other = (median(figures, f"{name} {model} 1r 1c side 1w", "p50") for name in (arm, peer))
        yield f"one connection, p50, {TITLES[model]}: {arm} to {peer}", "≤", limit, own / other, "×"
    for one, other_floor, limit in (
        ("floor-fast-lane", "floor-asgi", 1.4),
        ("floor-flask", "floor-fastapi", 1.1),
    ):
        reached = rate(figures, one, "lr") / rate(figures, other_floor, "lr")
        yield f"{one} to {other_floor}", "≥", limit, reached, "×"
    for key, what, limit in OPEN:
        yield f"{what}, p99", "≤", limit, median(figures, key, "p99"), " ms"
        repeats = figures.results.cells.get(key, {}).get("repeats", ())
        errors = sum(r.get("errors", 0) + r.get("timeouts", 0) for r in repeats)
        yield f"{what}, errors", "≤", 0, float(errors) if repeats else math.nan, ""
    for model in MODELS:
        p99, p50 = (median(figures, f"plumbline {model} 1r 64c main 1w", q) for q in ("p99", "p50"))
        yield f"p99 to p50 at 64 connections, {TITLES[model]}", "≤", 4, p99 / p50, "×"
    two = median(figures, "plumbline lr 1r 64c two-workers 2w")
    yield "two workers on two cores to one", "≥", 1.6, two / rate(figures, "plumbline", "lr"), "×"


def goal_table(figures: Figures) -> str:
    """The goals as Markdown."""
    rows = []
    for what, sign, limit, reached, unit in goals(figures):
        asked = sign if sign == "reported" else f"{sign} {limit:g}{unit}"
        shown = "not measured" if math.isnan(reached) else f"{reached:.2f}{unit}"
        enough = reached >= limit if sign == "≥" else reached <= limit
        mark = "" if sign == "reported" or math.isnan(reached) else "reached" if enough else "**missed**"
        rows.append((what, asked, shown, mark))
    return table(("goal", "asked", "measured", "result"), rows)


@click.command(help=__doc__)
def main() -> None:
    """Compute and write."""
    results = Results.load(FILE)
    figures, commit = Figures(results), results.parts[-1]["commit"]
    about = f"From `benchmarks/results/full.json`, commit `{commit}`: `make bench`, then "
    about += "`python -m benchmarks.headline`."
    replace_block("comparison", f"{rates(figures)}\n\n{about}", ROOT / "README.md")
    replace_block("goals", f"{goal_table(figures)}\n\n{about}")


if __name__ == "__main__":
    main()
