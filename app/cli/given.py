"""The options that describe a model to publish: its file, a sample, and how it is called."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import click
import orjson

from app.cli.input import GivenSample, read_sample
from models.publishing.given import GivenModel, read_model
from models.runtimes.methods import METHODS, SCORES

Function = Callable[..., Any]

_OPTIONS: tuple[Callable[[Function], Function], ...] = (
    click.option(
        "--example", metavar="ROW.json", help="A request body in any accepted form; - is standard input."
    ),
    click.option(
        "--data", metavar="SAMPLE.csv", help="Rows that the model can answer, with a header; more is better."
    ),
    click.option(
        "--target",
        "targets",
        multiple=True,
        metavar="COLUMN",
        help="The column of --data with the outcomes, to measure the model; one for each output, its name.",
    ),
    click.option(
        "--method",
        type=click.Choice(METHODS),
        help="The method of the model that answers; by default the first that it has.",
    ),
    click.option(
        "--with",
        "scores",
        multiple=True,
        type=click.Choice(SCORES),
        help="A further member of the reply; repeatable.",
    ),
    click.option(
        "--argument",
        "arguments",
        multiple=True,
        metavar="NAME=JSON",
        help="An argument of the method besides the rows, such as quantiles=[0.1,0.9]; repeatable.",
    ),
    click.option(
        "--code", metavar="PATH", help="The module or package that defines the model's own classes."
    ),
    click.option(
        "--exact", is_flag=True, help="Refuse batches whose answers differ in any bit from single ones."
    ),
    click.option(
        "--accept-version-mismatch",
        is_flag=True,
        help="Publish a file that another scikit-learn wrote, and record which.",
    ),
    click.option(
        "--nullable",
        multiple=True,
        metavar="COLUMN",
        help="A column that takes null, although no value of it is missing in SAMPLE.csv; repeatable.",
    ),
    click.option("--coerce", is_flag=True, help="Take numbers that clients send as text."),
)


def model_options(command: Function) -> Function:
    """Add the argument FILE and the options that describe the model to a command."""
    return reduce(
        lambda decorated, option: option(decorated), reversed(_OPTIONS), click.argument("file")(command)
    )


def read_given(
    file: str,
    *,
    example: str | None,
    data: str | None,
    targets: tuple[str, ...],
    arguments: tuple[str, ...],
    code: str | None,
    accept_version_mismatch: bool,
    **options: Any,
) -> tuple[GivenModel, GivenSample, dict[str, Any]]:
    """Return the model, its sample, and the arguments of ``Description``, from the options above.

    Raises UsageError for options that contradict each other, and as ``read_model`` and ``read_sample`` do.
    """
    if example is None and data is None:
        raise click.UsageError("give a row to answer: --example ROW.json, --data SAMPLE.csv, or both")
    if targets and data is None:
        raise click.UsageError("--target names a column of --data; give that too")
    if targets and example is not None:
        raise click.UsageError(
            "--example has no outcome for --target; without it the first row is the example"
        )
    method_arguments = dict(map(_argument, arguments))
    model = read_model(Path(file), Path(code) if code else None, accept_version_mismatch)
    sample = read_sample(model.loaded, example, data, targets)
    of_both = {
        "parameters": sample.parameters,
        "arguments": method_arguments,
        "code": Path(code) if code else None,
    }
    return model, sample, {**options, **of_both, "accept_version_mismatch": accept_version_mismatch}


def _argument(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        if name.strip().isidentifier():
            return name.strip(), orjson.loads(value)
    except orjson.JSONDecodeError:
        pass
    raise click.UsageError(f"--argument {text!r}: write NAME=JSON, such as quantiles=[0.1,0.9]")
