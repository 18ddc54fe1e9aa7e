"""A gunicorn whose memory is measured: started, asked in each of its workers, ended."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from types import TracebackType

import numpy as np

from benchmarks.processes import MARKER, ProcessTree

ROOT = Path(__file__).parents[1]
START_SECONDS = 600.0
#: So many connections are opened at most until every worker has taken one.
MOST_CONNECTIONS = 500


class MemoryServer:
    """``with MemoryServer(store, model, workers, share) as server`` : every worker has loaded the model."""

    def __init__(self, store: Path, model: str, workers: int, share: bool) -> None:
        self._model, self._version = model, 1
        self._workers = workers
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self._tree = ProcessTree(uuid.uuid4().hex)
        self._run_dir = tempfile.TemporaryDirectory(prefix="plumbline-memory-")
        self._env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("PLUMBLINE_")},
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "WORKERS": str(workers),
            "PLUMBLINE_STORE": str(store),
            "PLUMBLINE_SHARE_MODELS": str(int(share)),
            "PLUMBLINE_ACCESS_LOG": "0",
            "PLUMBLINE_LOG_LEVEL": "error",
            # Connections wait while others are used.
            "PLUMBLINE_KEEPALIVE_SECONDS": "3600",
            "PLUMBLINE_RUN_DIR": str(self.run_dir),
            MARKER: self._tree.marker,
        }
        self.ready_seconds = 0.0

    def __enter__(self) -> MemoryServer:
        began = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "wsgi:app"], cwd=ROOT, env=self._env
        )
        try:
            while not self._is_ready():
                if self._process.poll() is not None or time.monotonic() - began > START_SECONDS:
                    raise SystemExit("the server did not start")
                time.sleep(0.1)
            self.ready_seconds = time.monotonic() - began
            time.sleep(2)  # a worker tidies up after it has loaded
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._tree.stop(0)
        self._run_dir.cleanup()

    @property
    def run_dir(self) -> Path:
        """Where the workers meet."""
        return Path(self._run_dir.name) / "run"

    def reload(self, version: int) -> None:
        """SIGHUP, until every new worker has the version and the old ones are gone."""
        self._version = version
        old = {stat.pid for stat in self._tree.processes()} - {self._process.pid}
        self._process.send_signal(signal.SIGHUP)
        while old & {stat.pid for stat in self._tree.processes()} or not self._is_ready():
            time.sleep(0.2)
        time.sleep(3)

    def pss_mib(self) -> float:
        """Memory of the whole tree."""
        return self._tree.pss_bytes() / 2**20

    def predict_everywhere(self, predictions: int, n_columns: int) -> list[int]:
        """So many predictions of one random row each in every worker, one after the other; the workers' ids."""
        rng = np.random.default_rng(1)
        held: dict[int, http.client.HTTPConnection] = {}
        opened = []
        while len(held) < self._workers:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            opened.append(connection)
            _get(connection, "/health")
            held.setdefault(self._worker_behind(connection), connection)
            if len(opened) > MOST_CONNECTIONS:
                raise SystemExit("not every worker takes connections")
        for connection in held.values():
            for row in rng.normal(size=(predictions, n_columns)):
                body = json.dumps({"features": row.tolist()})
                path = f"/models/{self._model}/predict"
                connection.request("POST", path, body, {"Content-Type": "application/json"})
                reply = connection.getresponse()
                reply.read()
                if reply.status != 200:
                    raise SystemExit(f"{path} answered {reply.status}")
        for connection in opened:
            connection.close()
        return list(held)

    def predicted(self) -> int:
        """How many predictions the server counted."""
        time.sleep(0.5)  # workers count every tenth of a second
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        page = _get(connection, "/metrics").decode()
        connection.close()
        found = re.search(
            rf'plumbline_requests_total{{model="{self._model}",status="200",version="1"}} (\S+)', page
        )
        return 0 if found is None else round(float(found.group(1)))

    def _is_ready(self) -> bool:
        """Whether every worker can answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            page = _get(connection, "/metrics").decode()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        found = re.search(
            rf'plumbline_model_ready{{model="{self._model}",version="{self._version}"}} (\S+)', page
        )
        return found is not None and float(found.group(1)) == self._workers

    def _worker_behind(self, connection: http.client.HTTPConnection) -> int:
        """The process that holds the other end of the connection."""
        ours = connection.sock.getsockname()[1]
        ends = f":{self.port:04X}", f":{ours:04X}"
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if (fields[1][-5:], fields[2][-5:]) == ends:
                inode = f"socket:[{fields[9]}]"
                for stat in self._tree.processes():
                    if any(_link(fd) == inode for fd in Path(f"/proc/{stat.pid}/fd").iterdir()):
                        return stat.pid
        raise SystemExit("a connection belongs to no worker")


def _get(connection: http.client.HTTPConnection, path: str) -> bytes:
    connection.request("GET", path)
    return connection.getresponse().read()


def _link(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
