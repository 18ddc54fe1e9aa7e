"""The speed of this checkout compared with another commit. Both are served at once and loaded in turns.

``python -m benchmarks.against COMMIT`` prints the requests/s of each model and the ratio of this checkout to the
commit: the median over pairs of consecutive loads, its interval, and the middle half of the pairs. What the machine
does meanwhile meets both sides alike.
"""

from __future__ import annotations

import math
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

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


class Load(NamedTuple):
    """Rows of a request, and connections that send requests at once."""

    rows: int
    connections: int

    @classmethod
    def of(cls, text: str) -> Load:
        """The load that ``256x64`` names; raises ValueError for another text."""
        rows, connections = map(int, text.split("x"))
        return cls(rows, connections)

    def __str__(self) -> str:
        return f"{self.rows} x {self.connections}"


Pairs = list[tuple[float, float]]


def pairs(
    other: Path, model: str, loads: Sequence[Load], count: int, seconds: float, starts: int = STARTS
) -> dict[Load, Pairs]:
    """By load, (requests/s of the other checkout, of this one) for each pair; half of them reversed."""
    server_core, load_core = core_pair()
    arm = ARMS["plumbline"]
    measured: dict[Load, Pairs] = {load: [] for load in loads}
    for _ in range(starts):
        with (
            running(arm, model, server_core, root=other) as there,
            running(arm, model, server_core) as here,
        ):
            for load in loads:
                cell = Cell(arm.name, model, load.rows, load.connections, "main")
                for server in (there, here):
                    drive(server, cell, WARM_UP_SECONDS, load_core)
                for i in range(count):
                    order = (there, here) if i % 2 == 0 else (here, there)
                    rates = {id(server): drive(server, cell, seconds, load_core).rate for server in order}
                    measured[load].append((rates[id(there)], rates[id(here)]))
    return measured


def interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Two of the values between which the median lies with this confidence, whatever its distribution is.

    The number of values below the median is binomial with p = 1/2; of few values it is the smallest and the largest.
    """
    ordered, n = sorted(values), len(values)
    below, k = 0.0, 0
    while k < n // 2 and below + math.comb(n, k) / 2**n <= (1 - confidence) / 2:
        below += math.comb(n, k) / 2**n
        k += 1
    k = max(k, 1)
    return ordered[k - 1], ordered[n - k]


def loads_option(context: click.Context, option: click.Parameter, texts: Sequence[str]) -> list[Load]:
    """The loads that were named; raises BadParameter for a text that names none."""
    try:
        return [Load.of(text) for text in texts]
    except ValueError:
        raise click.BadParameter("use ROWSxCONNECTIONS, such as 256x64") from None


@click.command()
@click.argument("commit")
@click.option(
    "--pairs", "count", type=click.IntRange(1), default=4, show_default=True, help="For each start."
)
@click.option("--seconds", type=click.FloatRange(1), default=2.0, show_default=True, help="Of each load.")
@click.option(
    "--load",
    "loads",
    multiple=True,
    default=["1x64"],
    show_default=True,
    metavar="ROWSxCONNECTIONS",
    callback=loads_option,
    help="Repeatable.",
)
def main(commit: str, count: int, seconds: float, loads: list[Load]) -> None:
    """Compare this checkout with COMMIT."""
    heads = (
        "model",
        "rows x connections",
        "pairs",
        "requests/s there",
        "here",
        "ratio",
        "95 % of the median",
    )
    table = Table(*heads, "middle half")
    with checkout(commit) as other:
        for model in MODELS:
            for load, measured in pairs(other, model, loads, count, seconds).items():
                ratios = [here / there for there, here in measured]
                low, middle, high = statistics.quantiles(ratios, n=4)
                there, here = (statistics.median(side) for side in zip(*measured, strict=True))
                table.add_row(
                    model,
                    str(load),
                    str(len(ratios)),
                    f"{there:,.0f}",
                    f"{here:,.0f}",
                    f"{middle:.3f}",
                    "{:.3f} to {:.3f}".format(*interval(ratios)),
                    f"{low:.3f} to {high:.3f}",
                )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
