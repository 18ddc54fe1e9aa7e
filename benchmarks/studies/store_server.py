"""This project over the store of a study: every worker has the model, and is asked by itself."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.server_process import Running, over_store, running

START_SECONDS = 600.0
#: Connections that are opened at most until every worker has taken one.
MOST_CONNECTIONS = 500


@contextmanager
def serving_store(store: Path, model: str, workers: int, share: bool) -> Iterator[StoreServer]:
    """A server whose workers have all loaded version 1 of the model."""
    settings = {
        "PLUMBLINE_SHARE_MODELS": str(int(share)),
        "PLUMBLINE_LOG_LEVEL": "error",
        "PLUMBLINE_KEEPALIVE_SECONDS": "3600",  # connections wait while others are used
    }
    arm, began = over_store(store, **settings), time.monotonic()
    with running(
        arm, None, None, workers=workers, start_seconds=START_SECONDS, grace_seconds=30.0
    ) as process:
        server = StoreServer(process, model, workers)
        server.wait_until_loaded(1)
        server.ready_seconds = time.monotonic() - began
        time.sleep(2)  # a worker tidies up after it has loaded
        yield server


@dataclass
class StoreServer:
    """A running server and the model that it is asked for.

    ready_seconds: from the start until every worker had loaded it.
    """

    process: Running
    model: str
    workers: int
    ready_seconds: float = 0.0

    @property
    def port(self) -> int:
        """Where it listens, on loopback."""
        return self.process.port

    @property
    def run_dir(self) -> Path:
        """Where the workers meet."""
        return self.process.work / "run"

    def pss_mib(self) -> float:
        """Memory of the whole process tree."""
        return self.process.pss_bytes() / 2**20

    def reload(self, version: int) -> None:
        """SIGHUP, until every new worker has the version and the old ones are gone."""
        old = {stat.pid for stat in self.process.tree.processes()} - {self.process.pid}
        os.kill(self.process.pid, signal.SIGHUP)
        while old & {stat.pid for stat in self.process.tree.processes()}:
            time.sleep(0.2)
        self.wait_until_loaded(version)
        time.sleep(3)

    def wait_until_loaded(self, version: int) -> None:
        """Until every worker can answer with this version; raises SystemExit after START_SECONDS."""
        until = time.monotonic() + START_SECONDS
        while (
            self._metric(f'plumbline_model_ready{{model="{self.model}",version="{version}"}}') != self.workers
        ):
            if time.monotonic() > until:
                raise SystemExit(f"not every worker loaded version {version}: {self.process.log()[-300:]}")
            time.sleep(0.1)

    def predicted(self) -> int:
        """How many predictions of version 1 the server counted."""
        time.sleep(0.5)  # workers count every tenth of a second
        return round(
            self._metric(f'plumbline_requests_total{{model="{self.model}",status="200",version="1"}}')
        )

    def predict_everywhere(self, predictions: int, n_columns: int) -> list[int]:
        """Predict in every worker, this many random rows one after the other; the workers' process ids."""
        rng = np.random.default_rng(1)
        held: dict[int, http.client.HTTPConnection] = {}
        opened = []
        while len(held) < self.workers:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            opened.append(connection)
            get(connection, "/health")
            held.setdefault(self._worker_behind(connection), connection)
            if len(opened) > MOST_CONNECTIONS:
                raise SystemExit("not every worker takes connections")
        for connection in held.values():
            for row in rng.normal(size=(predictions, n_columns)):
                body = json.dumps({"features": row.tolist()}).encode()
                post(connection, f"/models/{self.model}/predict", body)
        for connection in opened:
            connection.close()
        return list(held)

    def _metric(self, series: str) -> float:
        """A series of the metrics page, over all workers; 0 where it is missing or nobody answers."""
        try:
            page = fetch(self.port, "/metrics").decode()
        except (OSError, http.client.HTTPException):
            return 0.0
        value = re.search(rf"^{re.escape(series)} (\S+)", page, re.MULTILINE)
        return 0.0 if value is None else float(value[1])

    def _worker_behind(self, connection: http.client.HTTPConnection) -> int:
        """The process that holds the other end of the connection."""
        ours = connection.sock.getsockname()[1]
        ends = f":{self.port:04X}", f":{ours:04X}"
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if (fields[1][-5:], fields[2][-5:]) == ends:
                inode = f"socket:[{fields[9]}]"
                for stat in self.process.tree.processes():
                    if any(_link(fd) == inode for fd in Path(f"/proc/{stat.pid}/fd").iterdir()):
                        return stat.pid
        raise SystemExit("a connection belongs to no worker")


def fetch(port: int, path: str) -> bytes:
    """The body of a reply, on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        return get(connection, path)
    finally:
        connection.close()


def get(connection: http.client.HTTPConnection, path: str) -> bytes:
    """The body of a reply."""
    connection.request("GET", path)
    return connection.getresponse().read()


def post(connection: http.client.HTTPConnection, path: str, body: bytes) -> None:
    """Ask for a prediction; raises SystemExit for any answer but 200."""
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    reply = connection.getresponse()
    reply.read()
    if reply.status != 200:
        raise SystemExit(f"{path} answered {reply.status}")


def _link(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
