"""The commands of ``flask models`` and ``flask predict``: publish, show, change and call models in a shell.

A failure prints one line on standard error, or one line for each fault of a request, and the exit code is
not 0. ``--json`` prints JSON and nothing else.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click
import orjson

from app.catalog.snapshot import read_snapshot
from app.cli.base import (
    Command,
    Group,
    as_json_option,
    one_version,
    open_store,
    tags_option,
)
from app.cli.canary import canary
from app.cli.check import check
from app.cli.compare import compare
from app.cli.documents import described_models, described_version, file_status, names_of
from app.cli.input import read_body, read_request
from app.cli.lifecycle import VERBS, open_control
from app.cli.output import (
    call_of,
    print_added,
    print_facts,
    print_json,
    print_models,
    print_prediction,
    print_table,
    print_version,
    progress,
    say,
)
from app.cli.publish import publish
from models.conformity import misfit
from models.errors import Conflict, PredictError
from models.names import check_model_name
from models.runtimes.loading import load_version
from models.store.archive import export_version, import_version
from models.zoo import DEMO_MODELS, publish_all
from schemas.predict import PredictSchemas, reply_body


@click.group(cls=Group, name="models")
def models_group() -> None:
    """Publish, list, show, tag, promote, roll back, delete, export and import models."""


models_group.add_command(publish)
for _command in (canary, check, compare, *VERBS):
    models_group.add_command(_command)


@models_group.command("list")
@as_json_option
def list_models(as_json: bool) -> None:
    """List every version of every model, and whether its files are still those that were published."""
    settings, store = open_store()
    snapshot = read_snapshot(store, settings.default_model)
    if snapshot.fault:
        raise click.ClickException(snapshot.fault)
    with progress("checking files", len(snapshot.targets)) as step:
        models = described_models(snapshot, step)
    if as_json:
        print_json({"models": models})
    elif models:
        print_models(models)
    else:
        click.echo(
            f"The store {store.path} is empty; try: flask models demo, or: flask models publish --help"
        )


@models_group.command()
@click.argument("reference", metavar="NAME[:TAG]")
@click.option("--history", is_flag=True, help="Also list every change of the model: when, who, what and why.")
@as_json_option
def show(reference: str, history: bool, as_json: bool) -> None:
    """Show what is recorded about a version: by default the stable one."""
    settings, store = open_store()
    stored = store.get(*store.resolve_reference(reference))
    with progress("checking its files"):
        status = file_status(stored)
    changes = store.history(stored.manifest.name) if history else []
    if as_json:
        past = {"history": changes} if history else {}
        print_json(described_version(stored, names_of(store, stored), status=status, **past))
    else:
        reply = orjson.dumps(stored.manifest.example["response"]).decode()
        facts = {"call": call_of(settings, stored), "reply": reply, "status": status}
        print_version(store, stored, facts, changes)


@models_group.command()
@click.argument("reference", metavar="NAME:VERSION")
@click.argument("tag")
@as_json_option
def tag(reference: str, tag: str, as_json: bool) -> None:
    """Make TAG name the version, and no other version of the model."""
    control = open_control(None)
    name, version = one_version(control.store, reference)
    outcome = control.operations.tag(name, version, tag)
    say(as_json, f"{name}:{tag} is now version {version}", name=name, version=version, tag=tag)
    if not outcome.complete:
        late = f"{len(outcome.missing)} workers of this host have not followed in time"
        raise click.ClickException(
            late if outcome.missing else f"workers refuse it: {next(iter(outcome.refused.values()))}"
        )


@models_group.command()
@click.argument("reference", metavar="NAME:VERSION")
@click.option("--all", "whole", is_flag=True, help="Delete the whole model; give its NAME alone.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation; --all needs it without a terminal.")
@as_json_option
def delete(reference: str, whole: bool, yes: bool, as_json: bool) -> None:
    """Delete a version and its tags. Its number is never used again."""
    _, store = open_store()
    if whole:
        name, versions = check_model_name(reference), store.versions(reference)
        what = f"{name} with {len(versions)} version{'s' * (len(versions) > 1)}"
    else:
        name, version = one_version(store, reference)
        versions, what = [version], f"{name}:{version}"
    if not yes and sys.stdin.isatty():
        click.confirm(f"Delete {what}? This cannot be undone", abort=True, err=True)
    elif not yes and whole:
        raise click.UsageError(f"{what} would be deleted; add --yes")
    try:
        store.delete_model(name) if whole else store.delete(name, versions[0])
    except Conflict as error:
        raise Conflict(f"{error}: flask models delete {name} --all") from error
    say(as_json, f"{what} is deleted", name=name, versions=versions)


@models_group.command()
@click.argument("reference", metavar="NAME[:TAG]")
@click.argument("file", metavar="FILE.tar.gz")
@as_json_option
def export(reference: str, file: str, as_json: bool) -> None:
    """Write a version, by default the stable one, into one file that `flask models import` reads."""
    _, store = open_store()
    name, version = store.resolve_reference(reference)
    with progress(f"writing {file}"):
        export_version(store, name, version, Path(file))
    say(as_json, f"{name}:{version} is in {file}", name=name, version=version, file=file)


@models_group.command("import")
@click.argument("file", metavar="FILE.tar.gz")
@click.option("--name", help="The name of the model; by default the one that it had where it was exported.")
@tags_option
@as_json_option
def import_(file: str, name: str | None, tags: tuple[str, ...], as_json: bool) -> None:
    """Add the version in FILE.tar.gz under the next free number of its model."""
    settings, store = open_store()
    with progress(f"reading {file}"):
        stored = import_version(store, Path(file), name, tags)
    print_added(settings, store, stored, as_json)


@models_group.command()
@click.option("--if-empty", is_flag=True, help="Do nothing when the store already has a model.")
@as_json_option
def demo(if_empty: bool, as_json: bool) -> None:
    """Train the demo models and publish them, as new versions of those that exist already."""
    _, store = open_store()
    before = {name: store.versions(name)[-1] for name in store.names()}
    added: list[tuple[str, int]] = []
    if not (if_empty and before):
        with progress("looking at the store", len(DEMO_MODELS)) as step:
            publish_all(store, lambda name: step(f"training and publishing {name}"))
        added = [(name, v) for name in DEMO_MODELS for v in store.versions(name) if v > before.get(name, 0)]
    if as_json:
        print_json({"published": [{"name": name, "version": version} for name, version in added]})
    elif added:
        rows = ((name, version, store.get(name, version).manifest.description) for name, version in added)
        print_table(["model", "version", "description"], rows)
        print_facts({"next": f"flask predict {added[0][0]} --example"})
    else:
        click.echo(f"The store {store.path} has {', '.join(before)} already; nothing was published")


@click.command("predict", cls=Command)
@click.argument("reference", metavar="NAME[:TAG]")
@click.option("--example", is_flag=True, help="Ask what the version recorded as its example.")
@click.option(
    "--input",
    "file",
    metavar="FILE",
    help="A request body in any accepted form, one row or a batch; - is "
    "standard input, and FILE.csv a batch.",
)
@as_json_option
def predict_command(reference: str, example: bool, file: str | None, as_json: bool) -> None:
    """Load a version, by default the stable one, and answer a request without a server."""
    settings, store = open_store()
    if example == (file is not None):
        raise click.UsageError("give one of --example and --input FILE")
    stored = store.get(*store.resolve_reference(reference))
    manifest, signature = stored.manifest, stored.manifest.signature
    schemas = PredictSchemas(signature, max_rows=settings.max_rows)
    if file is None:
        rows, parameters, single = read_body(manifest.example["request"], schemas)
    else:
        rows, parameters, single = read_request(file, schemas)
    with progress(f"loading {manifest.key}"):
        runtime = load_version(stored)
        start = time.perf_counter()
        outputs = runtime.predict(rows, parameters)
        milliseconds = (time.perf_counter() - start) * 1000.0
    if fault := misfit(signature.output, outputs, len(rows)):
        raise PredictError(f"{manifest.key} {fault}")
    if as_json:
        print_json(reply_body(signature, outputs, manifest.name, manifest.version, single=single))
    else:
        print_prediction(signature, rows, parameters, outputs, single=single)
        print_facts({"model": str(manifest.key), "time": f"{milliseconds:.3f} ms"})


#: The commands that ``flask`` gets from this package.
COMMANDS: tuple[click.Command, ...] = (models_group, predict_command)
