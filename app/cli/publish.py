"""The command ``flask models publish``: from a joblib or pickle file to a version in the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import orjson

from app.cli.command import Command, as_json_option, open_store, tags_option, warnings_as_lines
from app.cli.input import read_sample
from app.cli.output import print_added, progress
from models.compiled import CHOICES
from models.given import read_model
from models.names import check_model_name
from models.runtimes.methods import METHODS, SCORES


@click.command(cls=Command)
@click.argument("name")
@click.argument("file")
@click.option(
    "--example", metavar="ROW.json", help="A request body in any accepted form; - is standard input."
)
@click.option(
    "--data", metavar="SAMPLE.csv", help="Rows that the model can answer, with a header; more is better."
)
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="COLUMN",
    help="The column of --data with the true outcomes, to measure the model; one for each output, which it names.",
)
@click.option(
    "--method", type=click.Choice(METHODS), help="What of the model answers, if not the first that it has."
)
@click.option(
    "--with",
    "scores",
    multiple=True,
    type=click.Choice(SCORES),
    help="What a reply has beside the prediction; repeatable.",
)
@click.option(
    "--argument",
    "arguments",
    multiple=True,
    metavar="NAME=JSON",
    help="What the method is called with beside the rows, such as quantiles=[0.1,0.9]; repeatable.",
)
@click.option(
    "--metric", "metrics", multiple=True, metavar="NAME=NUMBER", help="A measured quality; repeatable."
)
@tags_option
@click.option("--description", help="What the model is for.")
@click.option("--code", metavar="PATH", help="The module or package that defines the model's own classes.")
@click.option(
    "--exact", is_flag=True, help="Refuse batches whose answers differ in any bit from single ones."
)
@click.option(
    "--accept-version-mismatch",
    is_flag=True,
    help="Publish a file that another scikit-learn wrote, and record which.",
)
@click.option(
    "--compile",
    "compile_as",
    type=click.Choice(CHOICES),
    default="none",
    show_default=True,
    help="Also build a faster form, kept if it gives the same answers: trees as native code, or ONNX Runtime.",
)
@click.option(
    "--nullable",
    multiple=True,
    metavar="COLUMN",
    help="A column that takes null, though SAMPLE.csv lacks none of it; repeatable.",
)
@click.option("--coerce", is_flag=True, help="Take numbers that clients send as text.")
@as_json_option
def publish(
    name: str,
    file: str,
    example: str | None,
    data: str | None,
    targets: tuple[str, ...],
    method: str | None,
    scores: tuple[str, ...],
    arguments: tuple[str, ...],
    metrics: tuple[str, ...],
    tags: tuple[str, ...],
    description: str | None,
    code: str | None,
    exact: bool,
    accept_version_mismatch: bool,
    compile_as: str,
    nullable: tuple[str, ...],
    coerce: bool,
    as_json: bool,
) -> None:
    """Publish the joblib or pickle FILE as a new version of NAME."""
    from models.proving import INTERPRETER  # heavy: other commands do without

    settings, store = open_store()
    if example is None and data is None:
        raise click.UsageError("give a row to answer: --example ROW.json, --data SAMPLE.csv, or both")
    if targets and data is None:
        raise click.UsageError("--target names a column of --data; give that too")
    if targets and example is not None:
        raise click.UsageError(
            "--example has no outcome for --target; without it the first row is the example"
        )
    check_model_name(name)
    INTERPRETER.start()  # it imports its libraries while this process does
    measured, called = dict(map(_metric, metrics)), dict(map(_argument, arguments))
    with warnings_as_lines(), progress("reading the model") as step:
        model = read_model(Path(file), Path(code) if code else None, accept_version_mismatch)
        sample = read_sample(model.loaded, example, data, targets)
        stored = store.publish(
            name,
            model,
            sample.X,
            sample.y,
            metrics=measured,
            description=description,
            tags=tags,
            parameters=sample.parameters,
            method=method,
            scores=scores,
            arguments=called,
            code=code,
            exact=exact,
            accept_version_mismatch=accept_version_mismatch,
            compile=compile_as,
            nullable=nullable,
            coerce=coerce,
            on_step=step,
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


def _argument(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        if name.strip().isidentifier():
            return name.strip(), orjson.loads(value)
    except orjson.JSONDecodeError:
        pass
    raise click.UsageError(f"--argument {text!r}: write NAME=JSON, such as quantiles=[0.1,0.9]")
