"""The command ``flask models check``, which tries a model as publishing would, and writes nothing."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import click
import orjson

from app.cli.answers import describe_output
from app.cli.base import Command, as_json_option
from app.cli.documents import described_version
from app.cli.given import model_options, read_given
from app.cli.output import (
    cell,
    console,
    print_columns,
    print_facts,
    print_heading,
    print_json,
    progress,
)
from models.errors import PlumblineError
from models.publishing.checking import Concern, concerns
from models.record import Record

#: The name of the draft, which messages use.
NAME = "checked"


@click.command(cls=Command)
@model_options
@as_json_option
def check(file: str, as_json: bool, **options: Any) -> None:
    """Try the joblib or pickle FILE as publishing would: what it is, takes and answers, and its faults.

    Nothing is written. Exit code 1 when it cannot be published, or when requests that it takes would fail.
    """
    from models.publishing.publication import Description
    from models.publishing.publisher import proved_draft

    try:
        with (
            warnings.catch_warnings(record=True) as caught,
            progress("reading the model") as step,
        ):
            warnings.simplefilter("default")
            model, sample, description = read_given(file, **options)
            draft = proved_draft(NAME, model, sample.X, sample.y, Description(**description), step)
            step("trying unusual rows")
            findings = concerns(draft)
    except PlumblineError as error:
        # Reported after the progress bar has ended, because text before that goes to standard error.
        if not as_json:
            raise
        print_json({"publishable": False, "reason": str(error)})
        raise SystemExit(1) from error
    warned = dict.fromkeys(" ".join(str(warning.message).split())[:300] for warning in caught)
    findings = [*(Concern("hint", text) for text in warned), *findings]
    problems = [concern for concern in findings if concern.level == "problem"]
    print_json(_document(draft, findings)) if as_json else _print(file, draft, findings)
    if problems:
        raise SystemExit(1)


def _document(draft: Record, findings: Sequence[Concern]) -> dict[str, Any]:
    """Return what publishing would record, and the concerns."""
    return {
        "publishable": True,
        "problems": [concern.text for concern in findings if concern.level == "problem"],
        "hints": [concern.text for concern in findings if concern.level == "hint"],
        "manifest": described_version(draft, []),
    }


def _print(file: str, draft: Record, findings: Sequence[Concern]) -> None:
    manifest = draft.manifest
    signature, example = manifest.signature, manifest.example
    print_heading("What it is")
    size = sum(record.size_bytes for record in manifest.files.values())
    print_facts(
        {
            "file": file,
            "model": f"{manifest.estimator} ({manifest.framework})",
            "size": f"{size:,} bytes",
            "libraries": manifest.libraries,
            "pickled with": manifest.pickled_with,
            "metrics": manifest.metrics,
            "speed": ", ".join(f"{cell(ms)} ms for {n}" for n, ms in manifest.measured_ms.items()) + " rows",
        }
    )
    print_columns(signature.columns, "What it takes" if signature.named else "What it takes, by position")
    print_columns(signature.parameters, "Parameters")
    print_heading("What it answers")
    print_facts(
        {
            "output": describe_output(signature.output),
            "request": orjson.dumps(example["request"]).decode(),
            "reply": orjson.dumps(example["response"]).decode(),
            "golden rows": f"{manifest.golden_rows}" + (", some of them made up" * manifest.golden_synthetic),
        }
    )
    print_heading("What would go wrong in production")
    for concern in findings:
        console().print(f"{concern.level}: {cell(concern.text)}", soft_wrap=True)
    if not findings:
        console().print("nothing that trying could find", soft_wrap=True)
