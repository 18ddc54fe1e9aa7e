"""The commands that change the answers of a running server: promote, rollback, traffic, reload, history."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from app.cli.base import Command, as_json_option, one_version, open_store
from app.cli.output import print_facts, print_json, print_table, progress
from app.concurrency.forms import concurrency_of_this_process
from app.host.proof import HostProver
from app.host.run_dir import RunDirError, make_run_dir, servers_of
from app.operations.operations import Intent, Operations, Outcome
from models.names import check_model_name
from models.store import Store
from models.traffic import Arm, Match, Rule, Shadow, read_rule

wait_option = click.option(
    "--wait",
    "wait_seconds",
    type=click.FloatRange(0, 3600),
    help="Longest wait for this host's workers in seconds; by default PLUMBLINE_SWITCH_WAIT_SECONDS.",
)
reason_option = click.option("--reason", default="", help="Why, for the history.")
expected_option = click.option(
    "--expected",
    type=click.IntRange(1),
    metavar="VERSION",
    help="Change nothing unless this version is stable now.",
)


@click.command(cls=Command)
@click.argument("reference", metavar="NAME:VERSION")
@click.option(
    "--if-better", metavar="METRIC", help="Only if this recorded metric is better than the stable version's."
)
@expected_option
@reason_option
@wait_option
@as_json_option
def promote(
    reference: str,
    if_better: str | None,
    expected: int | None,
    reason: str,
    wait_seconds: float | None,
    as_json: bool,
) -> None:
    """Make a version stable after its proof, and wait until every worker of this host serves it."""
    control = open_control(wait_seconds)
    name, version = one_version(control.store, reference)
    with progress(f"proving {name}:{version}, then waiting for the workers"):
        outcome = control.operations.promote(
            name, version, Intent(reason, expected=expected), if_better=if_better
        )
    _report(control, outcome, f"{name}:stable is now version {version}", as_json)


@click.command(cls=Command)
@click.argument("name", metavar="NAME")
@expected_option
@reason_option
@wait_option
@as_json_option
def rollback(name: str, expected: int | None, reason: str, wait_seconds: float | None, as_json: bool) -> None:
    """Make the version stable that was before; a second rollback goes one further back."""
    control = open_control(wait_seconds)
    with progress("waiting for the workers"):
        outcome = control.operations.rollback(check_model_name(name), Intent(reason, expected=expected))
    _report(control, outcome, f"{name}:stable is now version {outcome.changed.after} again", as_json)


@click.command(cls=Command)
@click.argument("name", metavar="NAME")
@click.argument("shares", metavar="[VERSION=PERCENT]...", nargs=-1)
@click.option(
    "--shadow",
    metavar="VERSION[=PERCENT]",
    help="Also run this version after the reply, and compare the answers.",
)
@click.option(
    "--match",
    "matches",
    metavar="HEADER=VALUE:VERSION",
    multiple=True,
    help="Requests with this header; repeatable.",
)
@click.option(
    "--key", default="", metavar="COLUMN", help="The routing key of a request without X-Routing-Key."
)
@click.option("--clear", is_flag=True, help="Remove the rule: the stable version gets every request.")
@reason_option
@wait_option
@as_json_option
def traffic(
    name: str,
    shares: tuple[str, ...],
    shadow: str | None,
    matches: tuple[str, ...],
    key: str,
    clear: bool,
    reason: str,
    wait_seconds: float | None,
    as_json: bool,
) -> None:
    """Give versions a share of a model's requests, such as 3=10 for a tenth; the stable version has the rest.

    With the name alone the rule is shown.
    """
    has_rule = bool(shares or shadow or matches or key)
    if clear and has_rule:
        raise click.UsageError(
            "--clear leaves no rule; give either --clear alone, or shares, matches and a shadow"
        )
    if not clear and not has_rule:
        show_rule(name, as_json)
        return
    control = open_control(wait_seconds)
    rule = None if clear else _rule(control.store, check_model_name(name), shares, matches, shadow, key)
    with progress("proving the versions, then waiting for the workers"):
        outcome = control.operations.traffic(name, rule, Intent(reason))
    _report(control, outcome, f"{name} is routed {describe_rule(rule)}", as_json)


@click.command(cls=Command)
@wait_option
@as_json_option
def reload(wait_seconds: float | None, as_json: bool) -> None:
    """Make every worker of this host read the store again and retry what it could not load."""
    control = open_control(wait_seconds)
    with progress("waiting for the workers"):
        outcome = control.operations.reload()
    _report(control, outcome, "the store was read again", as_json)


@click.command(cls=Command)
@click.argument("name", metavar="NAME")
@as_json_option
def history(name: str, as_json: bool) -> None:
    """List every change of a model, oldest first: when, who, what, from, to and why."""
    _, store = open_store()
    store.versions(check_model_name(name))
    changes = store.history(name)
    if as_json:
        print_json({"name": name, "history": changes})
        return
    known = ("when", "who", "what", "before", "version", "tag", "rule", "why")
    rows = [[change.get(column) for column in known] for change in changes]
    print_table(("when", "who", "what", "from", "to", "tag", "rule", "why"), rows)


def show_rule(name: str, as_json: bool) -> None:
    """Print the traffic rule of a model."""
    _, store = open_store()
    store.versions(check_model_name(name))
    stored = store.state(name).traffic
    if as_json:
        print_json({"name": name, "rule": stored})
    else:
        click.echo(f"{name} is routed {describe_rule(None if stored is None else read_rule(stored))}")


def describe_rule(rule: Rule | None) -> str:
    """Return a rule in a few words."""
    if rule is None:
        return "to its stable version alone"
    parts = [f"{arm.percent:g} % to version {arm.version}" for arm in rule.arms]
    parts += [f"{match.header}={match.value} to version {match.version}" for match in rule.matches]
    if rule.shadow is not None:
        parts.append(f"{rule.shadow.percent:g} % to version {rule.shadow.version} as a shadow")
    return ", ".join(parts) + ", the rest to its stable version"


@dataclass(frozen=True, slots=True)
class Control:
    """The store and the server of this host that a command changes."""

    store: Store
    #: The run directory of the server; None where no server runs.
    run_dir: Path | None
    operations: Operations
    #: The place where the server is expected, in words.
    place: str

    @property
    def no_server(self) -> str:
        """The message for a server that is not running."""
        return f"no server of this store {self.place} runs on this host"


def open_control(wait_seconds: float | None) -> Control:
    """Return the server of this host that the environment names, its store, and the operations on them.

    Raises ClickException when only another server of the store runs: its workers would not be waited for.
    """
    settings, store = open_store()
    run_dir, place = settings.run_dir, f"at {settings.bind} (HOST and PORT)"
    if run_dir is not None:
        place = f"in {run_dir} (PLUMBLINE_RUN_DIR)"
        if run_dir.is_dir():
            try:
                make_run_dir(run_dir)  # refuses another user's directory, whose verdicts may be forged
            except RunDirError as error:
                raise click.ClickException(str(error)) from error
    else:
        running = list(servers_of(settings.store))
        matching = [path for path, server in running if server.is_at(settings.host, settings.port)]
        if running and not matching:
            others = ", ".join(f"{server} (PLUMBLINE_RUN_DIR={path})" for path, server in running)
            raise click.ClickException(
                f"no server of this store {place} runs on this host, but one at {others}; "
                "nothing was changed: set HOST and PORT, or PLUMBLINE_RUN_DIR, to the intended one"
            )
        run_dir = matching[0] if matching else None
    concurrency = concurrency_of_this_process()
    # Without a server no process shares the proof, so that no file of it is kept.
    proof_dir = run_dir if run_dir is not None and run_dir.is_dir() else None
    prover = HostProver(
        store, proof_dir, settings.proof_seconds, concurrency, settings.worker_timeout_seconds
    )
    seconds = settings.switch_wait_seconds if wait_seconds is None else wait_seconds
    return Control(store, run_dir, Operations(store, run_dir, prover, seconds, concurrency), place)


def _report(control: Control, outcome: Outcome, done: str, as_json: bool) -> None:
    """Print the result. The exit code is 1 when a worker does not serve the change."""
    alone = not (outcome.switched or outcome.missing)
    if as_json:
        print_json(outcome.to_json(time.time()))
        if alone:
            click.echo(f"Warning: {control.no_server}", err=True)
    else:
        click.echo(done)
        count = len(outcome.switched) - len(outcome.refused)
        served = f"{count} of this host serve{'s' * (count == 1)} it"
        print_facts({"workers": control.no_server if alone else served})
        now = time.time()
        rows = [
            (worker.slot, worker.pid or "", _silence(worker.seen, now), "has not switched in time")
            for worker in outcome.missing
        ]
        rows += [(slot, "", "", reason) for slot, reason in sorted(outcome.refused.items())]
        print_table(("slot", "pid", "last sign of life", "problem"), rows)
    if not outcome.complete:
        raise SystemExit(1)


def _silence(seen: float, now: float) -> str:
    return f"{now - seen:.1f} s ago" if seen else "none yet"


def _rule(
    store: Store, name: str, shares: Sequence[str], matches: Sequence[str], shadow: str | None, key: str
) -> Rule:
    arms = tuple(Arm(*_share(store, name, share)) for share in shares)
    parsed = []
    for match in matches:
        header, _, rest = match.partition("=")
        value, colon, selector = rest.rpartition(":")
        if not colon:
            raise click.UsageError(f"--match {match}: use HEADER=VALUE:VERSION")
        parsed.append(Match(header, value, store.resolve(name, selector)))
    shadowed = None
    if shadow is not None:
        shadowed = Shadow(*_share(store, name, shadow if "=" in shadow else f"{shadow}=100"))
    return Rule(arms, tuple(parsed), shadowed, key)


def _share(store: Store, name: str, share: str) -> tuple[int, float]:
    selector, _, percent = share.partition("=")
    try:
        return store.resolve(name, selector), float(percent)
    except ValueError as error:
        raise click.UsageError(f"{share}: use VERSION=PERCENT, such as 3=10") from error


VERBS: tuple[click.Command, ...] = (promote, rollback, traffic, reload, history)
