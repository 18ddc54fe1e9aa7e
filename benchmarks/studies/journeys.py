"""How much code a maintainer crosses: own calls and files on the path of a prediction, a 422, a publish and a promote.

``python -m benchmarks.studies.journeys`` counts the Python functions of app/, models/ and schemas/ that run in this
process, on its native threads too; neither gunicorn's worker nor the processes that verify a version are counted.
``--write`` puts the figures beside those of an earlier commit (``results/journeys-before.json``) into
docs/design-notes.md; ``--json`` prints them.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click
import orjson
import pandas as pd

from app.config import Settings
from app.factory import create_app
from app.wiring import wire
from benchmarks import workload
from benchmarks.blocks import replace_block, table
from benchmarks.environments import ROOT
from benchmarks.machine import commit
from benchmarks.studies.request_path import environ_of
from models.publishing import publish
from models.store import Store

PACKAGES = ("app", "models", "schemas")
BEFORE = ROOT / "benchmarks/results/journeys-before.json"
NOTES = ROOT / "docs/design-notes.md"
#: Requests before the one that is counted, so that caches are filled.
WARM_UP = 300

Counts = dict[tuple[str, str], int]


@contextmanager
def counted() -> Iterator[Counts]:
    """How often each function of the project is called in the block, by file and name."""
    calls: Counter[tuple[str, str]] = Counter()
    prefix = str(ROOT) + os.sep

    def note(frame: FrameType, event: str, argument: Any) -> None:
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(prefix):
            path = file.removeprefix(prefix)
            if path.split(os.sep)[0] in PACKAGES:
                calls[path, frame.f_code.co_name] += 1

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]


def posting(app: Any, path: str, features: list[Any]) -> Callable[[], str]:
    """A function that sends one row to a WSGI application and returns the status of the reply."""
    body = orjson.dumps({"features": features})
    environ = environ_of(path, body)

    def post() -> str:
        statuses: list[str] = []
        reply = app({**environ, "wsgi.input": io.BytesIO(body)}, lambda status, *_: statuses.append(status))
        b"".join(reply)
        if hasattr(reply, "close"):
            reply.close()
        return statuses[0][:3]

    return post


def journeys() -> dict[str, dict[str, int]]:
    """Own calls, functions and files of each journey, over a store of two versions of the logistic regression."""
    calls: dict[str, Counts] = {}
    with tempfile.TemporaryDirectory() as directory, open(os.devnull, "w") as log:
        store = Store(Path(directory) / "store")
        sample = pd.read_csv(workload.sample("lr"))
        publish(store, "bench", workload.artifact("lr"), sample)
        with counted() as calls["publish"]:
            publish(store, "bench", workload.artifact("lr"), sample)
        services = wire(Settings(store=store.path, default_model="bench"), output=log)
        app = create_app(services=services)
        services.start()
        row = workload.parity("lr").rows[0]
        for name, path, features, status in (
            ("one-row prediction", "/predict", row, "200"),
            ("422", "/predict", ["x", *row[1:]], "422"),
            ("", "/models/bench/versions/2/predict", row, "200"),
        ):
            post = posting(app, path, features)
            while post() != status:
                time.sleep(0.1)
            for _ in range(WARM_UP):
                post()
            if name:
                with counted() as calls[name]:
                    post()
        services.follower.close()  # so that the change is not noticed on two threads
        time.sleep(1)
        with counted() as calls["promote of a loaded version"]:
            services.operations.promote("bench", 2)
        services.close()
    return {
        name: {"calls": sum(of.values()), "functions": len(of), "files": len({file for file, _ in of})}
        for name, of in calls.items()
    }


def sizes() -> dict[str, dict[str, int]]:
    """Modules and lines of the product, the comparison and the tests."""
    areas = {
        "app, models, schemas": PACKAGES,
        "benchmarks, without the peers": ("benchmarks",),
        "tests": ("tests",),
    }
    counts = {}
    for area, folders in areas.items():
        files = [
            path
            for folder in folders
            for path in (ROOT / folder).rglob("*.py")
            if not {"peers", "artifacts", "static", ".cache", "results"} & set(path.relative_to(ROOT).parts)
        ]
        counts[area] = {
            "modules": len(files),
            "lines": sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files),
        }
    return counts


def rows(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[list[str]]:
    """A line for each figure: what it counts, before and now."""
    return [
        [f"{what}: {unit}", f"{before[part][what][unit]:,}", f"{now[part][what][unit]:,}"]
        for part in ("journeys", "sizes")
        for what, figures in now[part].items()
        for unit in figures
        if unit != "functions"
    ]


@click.command(help=__doc__)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--write", is_flag=True, help="Put the table into docs/design-notes.md.")
def main(as_json: bool, write: bool) -> None:
    """Count and print."""
    now = {**commit(), "journeys": journeys(), "sizes": sizes()}
    if as_json:
        click.echo(orjson.dumps(now, option=orjson.OPT_INDENT_2).decode())
        return
    before = orjson.loads(BEFORE.read_bytes())
    heads = ["", f"`{before['commit']}`", f"`{now['commit']}`"]
    text = table(heads, rows(before, now))
    click.echo(text)
    if write:
        replace_block("journeys", f"{text}\n\n`python -m benchmarks.studies.journeys --write`.", NOTES)


if __name__ == "__main__":
    main()
