"""The command ``flask models canary``, which shifts requests to a version step by step."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from typing import Any

import click

from app.cli.base import Command, as_json_option
from app.cli.lifecycle import open_control, wait_option
from app.cli.output import console, print_json
from app.monitoring.arms import read_counts
from app.operations.rollout import Counts, Guards, Rollout
from models.errors import Conflict
from models.names import check_model_name

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


class Duration(click.ParamType[float]):
    """The type of durations: ``60s``, ``5m``, ``1h``, or a number of seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the duration in seconds."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", str(value))
        if not match or not float(match[1]):
            self.fail(f"{value!r}: use a time such as 30s, 5m or 1h", param, ctx)
        return float(match[1]) * _UNITS[match[2]]


class Finite(click.FloatRange):
    """The type of numbers in a range. It refuses NaN, which comparisons with the limits accept."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


class Steps(click.ParamType[tuple[float, ...]]):
    """The type of ascending percentages, separated by commas."""

    name = "steps"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Return the percentages."""
        if isinstance(value, tuple):
            return value
        try:
            steps = tuple(float(step) for step in str(value).split(","))
        except ValueError:
            steps = ()
        if not steps or list(steps) != sorted(set(steps)) or not 0 < steps[0] <= steps[-1] <= 100:
            self.fail(f"{value!r}: use ascending percentages, such as 1,5,25,100", param, ctx)
        return steps


@click.command(cls=Command)
@click.argument("name", metavar="NAME")
@click.argument("version", metavar="VERSION")
@click.option(
    "--steps", type=Steps(), default="1,5,25,100", show_default=True, help="Percent of the requests."
)
@click.option(
    "--every", "every_seconds", type=Duration(), default="60s", show_default=True, help="Time of a step."
)
@click.option(
    "--max-error-rate", type=Finite(0, 1), default=0.01, show_default=True, help="Greatest share of 5xx."
)
@click.option(
    "--max-latency-ratio", type=Finite(0), help="Greatest mean time, as a multiple of the stable version's."
)
@click.option(
    "--min-agreement",
    type=Finite(0, 1),
    help="Least share of equal answers; the version also runs as a shadow.",
)
@click.option(
    "--min-requests",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    help="Requests that a verdict on a step needs.",
)
@click.option(
    "--key", default="", metavar="COLUMN", help="The routing key of a request without X-Routing-Key."
)
@wait_option
@as_json_option
def canary(
    name: str,
    version: str,
    steps: Sequence[float],
    every_seconds: float,
    max_error_rate: float,
    max_latency_ratio: float | None,
    min_agreement: float | None,
    min_requests: int,
    key: str,
    wait_seconds: float | None,
    as_json: bool,
) -> None:
    """Shift requests to VERSION step by step, then promote it; shift them back if it does worse.

    The command may be interrupted and run again: it continues from the step that the server is at.
    """
    control = open_control(wait_seconds)
    operations, run_dir = control.operations, control.run_dir
    number = operations.resolve(check_model_name(name), version)
    if run_dir is None or not operations.workers():
        raise Conflict(f"{control.no_server}, so there are no requests to watch")
    out = console(stderr=True)
    printed: list[float] = []

    def report(percent: float, counts: Counts) -> None:
        """Print one line that changes on a terminal; elsewhere, as in a log, one line when a step begins."""
        if out.is_terminal:
            out.print(describe(name, number, percent, counts), end="\r")
        elif percent not in printed:
            printed.append(percent)
            out.print(describe(name, number, percent, counts))

    guards = Guards(max_error_rate, max_latency_ratio, min_agreement, min_requests)
    rollout = Rollout(
        operations,
        name,
        number,
        steps,
        every_seconds,
        guards,
        lambda: read_counts(run_dir, name, number),
        time.sleep,
        time.monotonic,
        report,
        key,
    )
    try:
        result = rollout.run()
    except KeyboardInterrupt:
        raise click.ClickException(
            f"interrupted; run the command again to continue, or flask models traffic {name} --clear to undo"
        ) from None
    if as_json:
        print_json({"name": name, "version": number, **_as_json(result)})
    elif result.promoted:
        click.echo(f"{name}:stable is now version {number}")
    elif not result.reason:
        click.echo(f"{name}:{number} has {result.percent:g} % of the requests")
    if result.reason:
        if not as_json:
            click.echo(f"{name}:{number} has {result.percent:g} % of the requests: {result.reason}", err=True)
        raise SystemExit(1)


def describe(name: str, version: int, percent: float, counts: Counts) -> str:
    """Return the counts of a step as a line."""
    canary, stable = counts.canary, counts.stable
    line = f"{name}:{version} at {percent:g} %: {canary.requests:.0f} requests, {canary.errors:.0f} failed"
    line += f", {canary.mean_ms:.2f} ms (stable {stable.mean_ms:.2f} ms)" if canary.requests else ""
    compared = counts.agrees + counts.differs
    return line + (f", {counts.agrees / compared:.1%} of {compared:.0f} answers agree" if compared else "")


def _as_json(result: Any) -> dict[str, Any]:
    return {"promoted": result.promoted, "percent": result.percent, "reason": result.reason}
