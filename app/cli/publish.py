"""The command ``flask models publish``, which adds a joblib or pickle file to the store as a version."""

from __future__ import annotations

from typing import Any

import click

from app.cli.base import Command, as_json_option, open_store, tags_option, warnings_as_lines
from app.cli.given import model_options, read_given
from app.cli.output import print_added, progress
from models import publishing
from models.compiled import CHOICES
from models.names import check_model_name


@click.command(cls=Command)
@click.argument("name")
@model_options
@click.option(
    "--metric", "metrics", multiple=True, metavar="NAME=NUMBER", help="A measured quality; repeatable."
)
@tags_option
@click.option("--description", help="What the model is for.")
@click.option(
    "--compile",
    "compile_as",
    type=click.Choice(CHOICES),
    default="none",
    show_default=True,
    help="Also build a faster form, kept if it answers the same: trees as native code, or ONNX Runtime.",
)
@as_json_option
def publish(
    name: str,
    file: str,
    metrics: tuple[str, ...],
    tags: tuple[str, ...],
    description: str | None,
    compile_as: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Publish the joblib or pickle FILE as a new version of NAME."""
    from models.publishing.proving import INTERPRETER  # heavy, so only this command imports it

    settings, store = open_store()
    check_model_name(name)
    INTERPRETER.start()  # imports its libraries in parallel with this process
    measured = dict(map(_metric, metrics))
    with warnings_as_lines(), progress("reading the model") as step:
        model, sample, given = read_given(file, **options)
        stored = publishing.publish(
            store,
            name,
            model,
            sample.X,
            sample.y,
            metrics=measured,
            description=description,
            tags=tags,
            compile=compile_as,
            on_step=step,
            **given,
        )
    print_added(settings, store, stored, as_json)


def _metric(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    try:
        if name.strip():
            return name.strip(), float(number)
    except ValueError:
        pass
    raise click.UsageError(f"--metric {text!r}: write NAME=NUMBER, such as accuracy=0.93")
