"""The speed of this checkout compared with another commit. Both are served at once and loaded in turns.

``python -m benchmarks.against COMMIT`` prints the requests/s of each model with one row a request, and the
ratio of this checkout to the commit: the median over pairs of consecutive loads, and the middle half of
them. What the machine does meanwhile meets both sides alike.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from benchmarks.arms import ARMS
from benchmarks.environments import ROOT
from benchmarks.loads import drive
from benchmarks.plan import MODELS, Cell
from benchmarks.server_process import core_pair, running

WARM_UP_SECONDS = 1.0
#: Each start of a server lays out its memory anew, which alone moves its rate by per cents.
STARTS = 3


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """The files of a commit in a directory of their own; raises CalledProcessError for none."""
    with tempfile.TemporaryDirectory(prefix="against-") as directory:
        tree = Path(directory) / "plumbline"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), commit], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def pairs(
    other: Path, model: str, connections: int, count: int, seconds: float, starts: int = STARTS
) -> list[tuple[float, float]]:
    """(requests/s of the other checkout, of this one) for each pair of loads; half of them reversed."""
    server_core, load_core = core_pair()
    arm = ARMS["plumbline"]
    cell = Cell(arm.name, model, 1, connections, "main")
    found = []
    for _ in range(starts):
        with (
            running(arm, model, server_core, root=other) as there,
            running(arm, model, server_core) as here,
        ):
            for server in (there, here):
                drive(server, cell, WARM_UP_SECONDS, load_core)
            for i in range(count):
                order = (there, here) if i % 2 == 0 else (here, there)
                rates = {id(server): drive(server, cell, seconds, load_core).rate for server in order}
                found.append((rates[id(there)], rates[id(here)]))
    return found


@click.command()
@click.argument("commit")
@click.option(
    "--pairs", "count", type=click.IntRange(1), default=4, show_default=True, help="For each start."
)
@click.option("--seconds", type=click.FloatRange(1), default=2.0, show_default=True, help="Of each load.")
@click.option("--connections", type=click.IntRange(1), default=64, show_default=True)
def main(commit: str, count: int, seconds: float, connections: int) -> None:
    """Compare this checkout with COMMIT."""
    table = Table("model", "requests/s there", "here", "ratio", "middle half")
    with checkout(commit) as other:
        for model in MODELS:
            measured = pairs(other, model, connections, count, seconds)
            ratios = sorted(here / there for there, here in measured)
            low, middle, high = statistics.quantiles(ratios, n=4)
            there, here = (statistics.median(side) for side in zip(*measured, strict=True))
            table.add_row(model, f"{there:,.0f}", f"{here:,.0f}", f"{middle:.3f}", f"{low:.3f} to {high:.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
