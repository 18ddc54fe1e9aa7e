"""`flask models canary`: a version takes over in steps, and loses its requests again when it does worse."""

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
    """``60s``, ``5m``, ``1h``, or seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", str(value))
        if not found or not float(found[1]):
            self.fail(f"{value!r}: use a time such as 30s, 5m or 1h", param, ctx)
        return float(found[1]) * _UNITS[found[2]]


class Finite(click.FloatRange):
    """A number in a range. NaN is refused; comparisons with a limit would not do so."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        found: float = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value!r} is not a number", param, ctx)
        return found


class Steps(click.ParamType[tuple[float, ...]]):
    """Ascending percentages, separated by commas."""

    name = "steps"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """The percentages."""
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
@click.option("--max-error-rate", type=Finite(0, 1), default=0.01, show_default=True, help="Share of 5xx.")
@click.option("--max-latency-ratio", type=Finite(0), help="Mean time, as a multiple of the stable version's.")
@click.option(
    "--min-agreement",
    type=Finite(0, 1),
    help="Share of equal answers; the version is asked as a shadow too.",
)
@click.option(
    "--min-requests",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    help="Needed for a verdict on a step.",
)
@click.option("--key", default="", metavar="COLUMN", help="What a request without X-Routing-Key sticks to.")
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
    """Give VERSION more and more requests, then promote it; take all of them back when it does worse.

    The command may be ended at any time and given again: it goes on from the step that the server is at.
    """
    control = open_control(wait_seconds)
    operations, run_dir = control.operations, control.run_dir
    number = operations.resolve(check_model_name(name), version)
    if run_dir is None or not operations.workers():
        raise Conflict(f"{control.no_server}, so there is nothing to watch")
    out = console(stderr=True)
    begun: list[float] = []

    def tell(percent: float, seen: Counts) -> None:
        """Print one line that changes on a terminal; elsewhere, as in a log, one line when a step begins."""
        if out.is_terminal:
            out.print(describe(name, number, percent, seen), end="\r")
        elif percent not in begun:
            begun.append(percent)
            out.print(describe(name, number, percent, seen))

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
        tell,
        key,
    )
    try:
        result = rollout.run()
    except KeyboardInterrupt:
        raise click.ClickException(
            f"interrupted; the same command goes on, and flask models traffic {name} --clear takes it back"
        ) from None
    if as_json:
        print_json({"name": name, "version": number, **_as_json(result)})
    elif result.promoted:
        click.echo(f"{name}:stable is now version {number}")
    elif not result.why:
        click.echo(f"{name}:{number} has {result.percent:g} % of the requests")
    if result.why:
        if not as_json:
            click.echo(f"{name}:{number} has {result.percent:g} % of the requests: {result.why}", err=True)
        raise SystemExit(1)


def describe(name: str, version: int, percent: float, seen: Counts) -> str:
    """The counts of a step in a line."""
    canary, stable = seen.canary, seen.stable
    said = f"{name}:{version} at {percent:g} %: {canary.requests:.0f} requests, {canary.errors:.0f} failed"
    said += f", {canary.mean_ms:.2f} ms (stable {stable.mean_ms:.2f} ms)" if canary.requests else ""
    compared = seen.agrees + seen.differs
    return said + (f", {seen.agrees / compared:.1%} of {compared:.0f} answers agree" if compared else "")


def _as_json(result: Any) -> dict[str, Any]:
    return {"promoted": result.promoted, "percent": result.percent, "reason": result.why}
