"""A server under a steady load, and a client beside it whose requests are timed one by one."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.loads import http_bytes
from benchmarks.studies.shadow_model import COLUMNS, LOAD_VALUE
from benchmarks.studies.store_server import StoreServer, serving_store
from benchmarks.wires import Request
from models.publishing import publish
from models.store import Store

#: Of the load, in requests/s.
RATE, CONNECTIONS = 500.0, 32


@contextmanager
def serving(
    model: Any, X: np.ndarray, workers: int, models: int = 1, versions: int = 1
) -> Iterator[tuple[Store, StoreServer, Probe]]:
    """A store with copies of a model, a server under a steady load over it, and a client that is timed."""
    with tempfile.TemporaryDirectory(prefix="plumbline-live-") as directory:
        store = Store(Path(directory) / "store")
        first = publish(store, "model", model, X[:100])
        files = {path: first.read(path) for path in first.manifest.files}
        for i in range(1, models):
            for _ in range(versions):
                store.add(replace(first.manifest, name=f"model-{i}"), files)
        with (
            serving_store(store.path, "model", workers, False) as server,
            steady_load(server.port),
            Probe(server.port) as probe,
        ):
            yield store, server, probe


@contextmanager
def steady_load(port: int) -> Iterator[None]:
    """So many requests a second, until the end."""
    with tempfile.NamedTemporaryFile("w", suffix=".requests") as file:
        body = json.dumps({"features": [LOAD_VALUE] * COLUMNS}).encode()
        request = Request("/models/model/predict", body)
        file.write(http_bytes(request, {"Content-Type": "application/json"}).hex())
        file.flush()
        command = [sys.executable, "-m", "benchmarks.driver", "--port", str(port), "--requests", file.name]
        command += ["--connections", str(CONNECTIONS), "--seconds", "600", "--rate", str(RATE)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.kill()
            process.wait()


class Probe:
    """A client whose requests are timed one by one, in a process of its own."""

    def __init__(self, port: int) -> None:
        self._command = [sys.executable, "-m", "benchmarks.studies.probe", str(port)]
        #: When each was sent (time.monotonic), seconds until it was answered, status, version.
        self._taken: list[tuple[float, float, int, str]] = []

    def __enter__(self) -> Probe:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._reader.join()
        self._process.wait()

    @property
    def failed(self) -> int:
        """Requests without an answer of 200 so far."""
        return sum(status != 200 for _, _, status, _ in self._taken)

    def milliseconds(self, since: float, until: float, version: str = "") -> list[float]:
        """Of the requests that were sent in this time, and that the version answered."""
        return [
            took * 1000
            for sent, took, _, by in list(self._taken)
            if since <= sent < until and (not version or by == version)
        ]

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            sent, took, status, version = line.split(",")
            self._taken.append((float(sent), float(took), int(status), version.strip()))
