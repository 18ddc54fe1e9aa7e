"""The command ``flask models compare``, which shows two versions in tables, as JSON, or as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from jinja2 import Environment, FileSystemLoader

from app.cli.base import Command, as_json_option, one_version, open_store
from app.cli.input import read_rows
from app.cli.output import cell, print_facts, print_heading, print_json, print_table, progress
from models import comparison
from models.comparison import comparable
from models.errors import Conflict
from models.outputs import Outputs
from models.runtime import Runtime
from models.runtimes.loading import load_version
from models.signature import Output

#: Rows of one call of a model, after which the progress bar moves.
STEP = 1000

#: The size of a histogram on the page, in pixels.
WIDTH, HEIGHT = 640, 200


@click.command(cls=Command)
@click.argument("first", metavar="NAME:VERSION")
@click.argument("second", metavar="NAME:VERSION")
@click.option(
    "--data", metavar="FILE", help="Rows to ask: CSV, or JSON with a row a line; by default golden rows."
)
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="COLUMN",
    help="The column of the data with the outcome, one for each output, to score both versions.",
)
@click.option("--html", "html", metavar="FILE", help="Also write a page with plots.")
@as_json_option
def compare(
    first: str, second: str, data: str | None, targets: tuple[str, ...], html: str | None, as_json: bool
) -> None:
    """Compare two versions: what they recorded, and how their answers to the same rows differ."""
    if targets and data is None:
        raise click.UsageError("--target names a column of --data FILE")
    _, store = open_store()
    records = [store.get(*one_version(store, reference)) for reference in (first, second)]
    one, other = (record.manifest for record in records)
    if obstacle := comparable(one.signature, other.signature):
        raise Conflict(f"{first} and {second} cannot be compared: {obstacle}")
    if targets:
        _check_targets(one.signature.output, targets)
    golden = records[1].golden
    truth = None
    rows = golden.rows
    if data is not None:
        rows, truth = read_rows(data, one.signature, targets)
    with progress("loading the versions", 2 * (1 + len(rows) // STEP + 1)) as step:
        answers = []
        for reference, record in zip((first, second), records, strict=True):
            step(f"loading {reference}")
            answers.append(
                _ask(load_version(record), rows, golden.parameters, lambda r=reference: step(f"asking {r}"))
            )
    result = comparison.compare(one, other, rows, (answers[0], answers[1]), truth).to_json()
    if html is not None:
        Path(html).write_text(page(f"{first} and {second}", result, data or "golden rows"), encoding="utf-8")
    if as_json:
        print_json(result)
    else:
        _print(result, [first, second], data or f"golden rows of {second}")
        print_facts({"page": html})


def _check_targets(output: Output, targets: Sequence[str]) -> None:
    """Raise UsageError unless there is one target for each output, in the order of the outputs."""
    if output.kind == "records":
        raise click.UsageError("--target does not apply to answers that are records")
    names = [one.name for one in output.outputs] or list(output.components)
    if names and list(targets) != names:
        wanted = " ".join(f"--target {name}" for name in names)
        raise click.UsageError(f"give one target for each output, in their order: {wanted}")
    if len(targets) != output.width:
        raise click.UsageError(
            f"{len(targets)} targets are given, but the versions answer {output.width} values per row"
        )


def _ask(runtime: Runtime, rows: np.ndarray, parameters: Mapping[str, Any], step: Any) -> Outputs:
    parts = []
    for start in range(0, len(rows), STEP):
        step()
        parts.append(runtime.predict(rows[start : start + STEP], parameters))
    return parts[0] if len(parts) == 1 else Outputs.joined(parts)


def _print(result: Mapping[str, Any], names: Sequence[str], source: str) -> None:
    metadata, answers = result["metadata"], result["answers"]
    pairs = [(f"metric {name}", *values) for name, values in metadata["metrics"].items()]
    pairs += [(f"ms for {n} rows", *values) for n, values in metadata["measured_ms"].items()]
    pairs += [(f"column {name}", *values) for name, values in metadata["columns"].items()]
    pairs += [(name, *values) for name, values in metadata["differing"].items() if name != "output"]
    print_table(["", *names], pairs)
    print_heading(f"Answers to {answers['rows']:,} rows: {source}")
    print_facts({"predictions that change": f"{answers['changed']:,} ({answers['changed_share']:.1%})"})
    if "difference" in answers:
        quantiles = answers["difference"]["quantiles"].items()
        print_facts({"score, second minus first": ", ".join(f"{float(q):.0%} {v:.4g}" for q, v in quantiles)})
    if "truth" in result:
        _print_truth(result["truth"], names)
    print_table(
        ["column", "slice", "rows", "change"],
        [(s["column"], s["slice"], s["rows"], f"{s['changed_share']:.1%}") for s in answers["slices"]],
        "Where predictions change most",
    )
    print_table(
        ["row", "values", *names, "difference"],
        [
            (r["row"], r["values"], *(a["prediction"] for a in r["answers"]), r["difference"])
            for r in answers["rows_that_differ_most"]
        ],
        "Rows that differ most",
    )


def _print_truth(truth: Mapping[str, Any], names: Sequence[str]) -> None:
    rows = [
        (name, f"{s['value']:.4g}", f"{s['interval'][0]:.4g} to {s['interval'][1]:.4g}")
        for name, s in zip(names, truth["scores"], strict=True)
    ]
    print_table(["version", truth["measure"], "95 % interval"], rows)
    difference = truth["difference"]
    low, high = difference["interval"]
    verdict = "clear" if difference["clear"] else "not clear: the interval holds 0"
    print_facts({"second minus first": f"{difference['value']:.4g} ({low:.4g} to {high:.4g}), {verdict}"})


class Members(Environment):
    """A Jinja environment in which ``a.clear`` is a member of a mapping, and not the method of dict."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return the member of a mapping, or else what Jinja finds."""
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)


def page(title: str, result: Mapping[str, Any], source: str) -> str:
    """Return the page of a comparison, given as JSON data of ``models.comparison``.

    ``source`` names the rows that both versions answered.
    """
    environment = Members(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True)
    environment.filters["cell"] = cell
    difference = result["answers"].get("difference")
    bars = None if difference is None else histogram_bars(**difference["histogram"])
    return environment.get_template("comparison.html").render(
        title=title, source=source, bars=bars, width=WIDTH, height=HEIGHT, **result
    )


def histogram_bars(edges: list[float], counts: list[int]) -> dict[str, Any]:
    """Return the rectangles of a histogram of WIDTH x HEIGHT, and the x coordinate of zero."""
    low, high = edges[0], edges[-1]
    span = (high - low) or 1.0
    most = max([*counts, 1])
    rectangles = [
        {
            "x": round((left - low) / span * WIDTH, 2),
            "width": round(max((right - left) / span * WIDTH - 1, 1), 2),
            "y": round(HEIGHT * (1 - count / most), 2),
            "height": round(HEIGHT * count / most, 2),
            "title": f"{left:.4g} to {right:.4g}: {count}",
        }
        for left, right, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    zero = round(-low / span * WIDTH, 2) if low <= 0 <= high else None
    return {"rectangles": rectangles, "zero": zero, "low": f"{low:.4g}", "high": f"{high:.4g}", "most": most}
