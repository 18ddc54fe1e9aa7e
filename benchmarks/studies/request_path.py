"""What a request costs inside one process, step by step: CPU time without server, network and client.

``python -m benchmarks.studies.request_path`` calls WSGI applications directly, in turns, and prints the
median microseconds: Flask and this project's Flask with a view that returns a constant, and predictions
with and without the model's part. ``--write`` puts the table into docs/performance.md.
"""

from __future__ import annotations

import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import orjson
import pandas as pd
from flask import Flask

from app.api.flask_class import choose_class, new_application
from app.config import Settings
from app.factory import create_app
from app.wiring import wire
from benchmarks import workload
from benchmarks.blocks import replace_block, table
from benchmarks.machine import commit
from models.publishing import publish
from models.store import Store

CALLS, TURNS = 2000, 7
CONSTANT = {"prediction": 0, "probability": [0.9815, 0.0185, 0.0]}

Call = Callable[[], Any]


def environ_of(path: str, body: bytes) -> dict[str, Any]:
    """A POST as a server hands it over (PEP 3333), but for ``wsgi.input``."""
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SCRIPT_NAME": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "127.0.0.1:8000",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
    }


def asking(app: Any, body: bytes) -> Call:
    """A request to ``/predict``, and the whole reply."""
    environ = environ_of("/predict", body)

    def start_response(status: str, headers: Any, error: Any = None) -> None:
        assert status == "200 OK", status

    def ask() -> bytes:
        answer = app({**environ, "wsgi.input": io.BytesIO(body)}, start_response)
        try:
            return b"".join(answer)
        finally:
            if hasattr(answer, "close"):
                answer.close()

    return ask


def constant(app: Flask) -> Flask:
    """The application with a view without any model."""
    app.add_url_rule("/predict", "predict", lambda: CONSTANT, methods=["POST"])
    return app


def microseconds(calls: dict[str, Call]) -> dict[str, float]:
    """Median CPU time of one call of each, taken in turns."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(TURNS):
        for name, call in calls.items():
            call()
            began = time.process_time()
            for _ in range(CALLS):
                call()
            found[name].append((time.process_time() - began) / CALLS * 1e6)
    return {name: statistics.median(times) for name, times in found.items()}


@click.command(help=__doc__)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--write", is_flag=True, help="Put the table into docs/performance.md.")
def main(as_json: bool, write: bool) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as directory:
        store = Store(Path(directory) / "store")
        publish(store, "bench", workload.artifact("lr"), pd.read_csv(workload.sample("lr")))
        services = wire(Settings(store=store.path, default_model="bench", access_log=False))
        app = create_app(services=services)
        services.start()
        row = workload.parity("lr").rows[0]
        body = orjson.dumps({"features": row})
        target = services.engine.routing.resolve("bench")
        served = services.engine.residency.model(target)
        rows = np.array([row])
        answered = served.answer(rows, {})
        predict, real = asking(app, body), served.answer

        def given() -> Any:
            served.answer = lambda *asked, **more: answered
            try:
                return predict()
            finally:
                served.answer = real

        found = microseconds(
            {
                "Flask, constant view": asking(constant(Flask("constant")), body),
                "LeanFlask, constant view": asking(
                    constant(new_application(choose_class(), "constant")), body
                ),
                "prediction, the model's answer given": given,
                "prediction, one row of the logistic regression": predict,
                "the model's call alone": lambda: real(rows, {}),
            }
        )
        services.close()
    if as_json:
        print(orjson.dumps(found).decode())
        return
    text = table(("in one process", "us"), [(name, f"{us:.1f}") for name, us in found.items()])
    if write:
        about = f"Median of {TURNS} x {CALLS}, commit `{commit()['commit']}`: "
        about += "`python -m benchmarks.studies.request_path --write`."
        replace_block("request path", f"{text}\n\n{about}")
    click.echo(text)


if __name__ == "__main__":
    main()
