"""``make bench``: the comparison, from a plan to the report. Every cell is saved when it is measured; the same command goes on."""

from __future__ import annotations

import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.arms import ARMS
from benchmarks.compare import compare as compared
from benchmarks.environments import ROOT, is_installed
from benchmarks.machine import commit, digest_of_peer, machine, rfc3339
from benchmarks.plan import MODELS, Plan, full_plan, quick_plan
from benchmarks.report.pages import write_all
from benchmarks.results import Results
from benchmarks.run import Run
from benchmarks.workload import REQUESTS

DIRECTORY = ROOT / "benchmarks" / "results"
PUBLISHED = DIRECTORY / "full.json"


@click.command()
@click.option(
    "--quick", is_flag=True, help="Logistic regression, one row, 64 connections, every installed arm, once."
)
@click.option("--arms", default="", help="Names of arms, separated by blanks; by default all.")
@click.option("--models", default="", help=f"Models, separated by blanks: {' '.join(MODELS)}.")
@click.option("--seconds", type=click.FloatRange(1.0, 60.0), default=3.0, help="Of a quick cell.")
@click.option("--minutes", type=float, help="Stop after so long; the same command goes on later.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="The result file; by default benchmarks/results/run.json."
)
@click.option("--fresh", is_flag=True, help="Begin anew, whatever the result file holds.")
@click.option(
    "--publish", is_flag=True, help="Measure nothing; make the run the one that the repository shows."
)
@click.option(
    "--compare", type=click.Path(exists=True, path_type=Path), help="Exit 1 if a ratio is worse than there."
)
@click.option("--only-report", is_flag=True, help="Measure nothing; write the pages from the result file.")
def main(
    quick: bool,
    arms: str,
    models: str,
    seconds: float,
    minutes: float | None,
    out: Path | None,
    fresh: bool,
    publish: bool,
    compare: Path | None,
    only_report: bool,
) -> None:
    """Measure the same models on every server, side by side."""
    console = Console(stderr=True)
    chosen = _chosen(arms, ARMS, "arm")
    wanted = _chosen(models, MODELS, "model")
    if quick and not chosen:
        chosen = [name for name, arm in ARMS.items() if not arm.peer or is_installed(arm.peer)]
    plan = quick_plan(chosen, wanted, seconds) if quick else full_plan(chosen, wanted)
    path = out or DIRECTORY / ("quick.json" if quick else "run.json")
    if publish:
        path = _published(path)
    elif only_report and not out and not quick:
        path = PUBLISHED
    elif (quick or fresh) and path.exists() and not only_report:
        path.unlink()  # a quick run is begun anew each time
    results = Results.load(path) if path.exists() else Results(path)
    finished = True
    if not (only_report or publish):
        _check_same_run(results)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        finished = _measure(plan, results, console, minutes)
    for page in write_all(results, committed=path == PUBLISHED):
        console.print(f"wrote {page.relative_to(ROOT) if page.is_relative_to(ROOT) else page}")
    try:
        worse = compared(Results.load(compare), results) if compare else []
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    for line in worse:
        console.print(f"[red]worse:[/red] {line}")
    sys.exit(1 if worse or not finished else 0)


def _published(path: Path) -> Path:
    """The run in the place of the one that the repository shows."""
    if not path.exists():
        raise click.UsageError(f"there is no run to publish at {path}: make bench")
    results = Results.load(path)
    results.path = PUBLISHED
    results.save()
    return PUBLISHED


def _check_same_run(results: Results) -> None:
    """Raises click.UsageError where going on would put figures of other code or of another machine beside these."""
    if not results.parts:
        return
    before, here = results.parts[-1], commit()
    reasons = [
        f"{what} was {then}, now it is {now}"
        for what, then, now in (
            ("the commit", before["commit"], here["commit"]),
            ("the machine", results.machine, machine()),
            *(
                (f"the digest of {name}'s files", found["digest"][:12], digest_of_peer(ARMS[name].peer)[:12])
                for name, found in results.arms.items()
                if name in ARMS
            ),
        )
        if then != now
    ]
    if here["dirty"] or before["dirty"]:
        reasons.append("app, models or schemas differ from the commit")
    if reasons:
        raise click.UsageError(
            f"{results.path} holds a run that cannot be gone on with: {'; '.join(reasons)}. Begin anew: make bench FRESH=1"
        )


def _measure(plan: Plan, results: Results, console: Console, minutes: float | None) -> bool:
    """Carry the plan out, with a live display; whether it was finished. Ctrl-C stops the servers and keeps the results."""
    run = Run(plan, results)
    visits = [visit for visit in plan.visits() if run.missing(visit)]
    total = sum(len(run.missing(visit)) for visit in visits)
    share = total / max(1, len(plan.cells) * plan.repeats)
    console.print(
        f"{total} of {len(plan.cells) * plan.repeats} measurements to make on {len({v.arm.name for v in visits})} arms, "
        f"about {plan.estimated_seconds() * share / 60:.0f} minutes; Ctrl-C stops, the same command goes on"
    )
    if run.load_core is None:
        console.print(
            "[red]one core only: the generator and the servers share it, so read no figure of this run[/red]"
        )
    if not total:
        return True
    results.machine = machine()
    known = results.plan.get("cells", [])
    cells = [*known, *(c.key for c in plan.cells if c.key not in known)]
    results.plan = {
        "repeats": plan.repeats,
        "seconds": plan.seconds,
        "requests": REQUESTS,
        "settled": True,
        "cells": cells,
    }
    part = {"started": rfc3339(datetime.now(UTC)), "ended": "", **commit()}
    results.parts.append(part)
    until = time.monotonic() + minutes * 60 if minutes else float("inf")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    began, done, finished = time.monotonic(), 0, True
    try:
        with Progress(*columns, console=console) as bar:
            task = bar.add_task("starting", total=total, left="")
            for visit in visits:
                if time.monotonic() > until:
                    console.print(f"{total - done} measurements are left; the same command goes on with them")
                    break
                expected = len(run.missing(visit))
                bar.update(task, description=f"{visit.arm.name} {visit.model}: starting")
                for cell in run.carry_out(visit):
                    bar.update(task, description=cell.key)
                    done += 1
                    expected -= 1
                    left = (time.monotonic() - began) / done * (total - done) / 60
                    bar.update(task, advance=1, left=f"{left:.0f} min left")
                done += expected
                bar.update(task, advance=expected)
    except KeyboardInterrupt:
        console.print("stopped; the servers are ended and what was measured is kept")
        finished = False
    part["ended"] = rfc3339(datetime.now(UTC))
    results.save()
    return finished


def _chosen(given: str, known: object, what: str) -> list[str]:
    names = given.split()
    unknown = [name for name in names if name not in known]  # type: ignore[operator]
    if unknown:
        raise click.UsageError(f"no {what} called {', '.join(unknown)}; there are: {', '.join(known)}")  # type: ignore[call-overload]
    return names


if __name__ == "__main__":
    main()
