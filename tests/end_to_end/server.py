"""A gunicorn for tests, started on a free port and stopped by its process id."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.conftest import LONG_SECONDS, wait_until
from tests.counted import COUNTED

ROOT = Path(__file__).parents[2]
Lines = list[dict[str, Any]]


def free_port() -> int:
    """Return a free port of the loopback interface."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Reply:
    """A reply. ``headers`` have lower-case names."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as a JSON value."""
        return json.loads(self.body)


class Server:
    """``with Server(store, workers=2, PLUMBLINE_X=..) as server`` waits until /ready was answered with 200 or 503 for good.

    ``arguments`` : of gunicorn's command line, in which ``{port}`` is the port that is waited for."""

    def __init__(
        self,
        store: Path,
        *arguments: str,
        workers: int = 1,
        wait: bool = True,
        cwd: Path = ROOT,
        python: Path = Path(sys.executable),
        **env: str,
    ) -> None:
        self.port = free_port()
        self._arguments = [argument.format(port=self.port) for argument in arguments]
        self.url = f"http://127.0.0.1:{self.port}"
        self.store = store
        self._cwd = cwd
        self._python = python
        self._wait = wait
        self._files = tempfile.TemporaryDirectory(prefix="plumbline-test-")
        self.run_dir = Path(self._files.name) / "run"
        self._env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("PLUMBLINE_")},
            **COUNTED,
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "WORKERS": str(workers),
            "PLUMBLINE_STORE": str(store),
            "PLUMBLINE_RUN_DIR": str(self.run_dir),
            # What a test does not set itself must not end anything on a slow machine.
            "PLUMBLINE_WORKER_TIMEOUT_SECONDS": f"{LONG_SECONDS:.0f}",
            "PLUMBLINE_GRACEFUL_TIMEOUT_SECONDS": f"{LONG_SECONDS:.0f}",
            "PLUMBLINE_KEEPALIVE_SECONDS": f"{LONG_SECONDS:.0f}",
            "PLUMBLINE_BODY_TIMEOUT_SECONDS": f"{LONG_SECONDS:.0f}",
            **env,
        }
        self._out = Path(self._files.name) / "out.log"
        self._err = Path(self._files.name) / "err.log"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        began = time.monotonic()
        with open(self._out, "wb") as out, open(self._err, "wb") as err:
            self.process = subprocess.Popen(
                [self._python, "-m", "gunicorn", "wsgi:app", *self._arguments],
                cwd=self._cwd,
                env=self._env,
                stdout=out,
                stderr=err,
            )
        while self._wait and not self._settled():
            if self.process.poll() is not None or time.monotonic() - began > LONG_SECONDS:
                self.stop()
                said = self.errors
                self._files.cleanup()
                raise RuntimeError(f"the server did not start:\n{said}")
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._files.cleanup()

    @property
    def output(self) -> str:
        """The standard output so far: the access log and the banner."""
        return self._out.read_text()

    @property
    def errors(self) -> str:
        """The standard error so far."""
        return self._err.read_text()

    def wait_for_output(self, text: str) -> str:
        """Wait until the standard output contains a text, and return the output."""
        wait_until(lambda: text in self.output)
        return self.output

    def access_log(self, complete: Callable[[Lines], bool]) -> Lines:
        """Wait for the lines of the access log, which follow the replies, and return them as JSON values."""

        def lines() -> Lines:
            whole, _, _ = self.output.rpartition("\n")
            return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

        wait_until(lambda: complete(lines()))
        return lines()

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Reply:
        """Send one request on a new connection. A body that is not bytes is sent as JSON."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} if data is not None else {}
        request = urllib.request.Request(self.url + path, data, {**sent, **(headers or {})}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=LONG_SECONDS) as reply:
                return Reply(reply.status, {k.lower(): v for k, v in reply.headers.items()}, reply.read())
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, {k.lower(): v for k, v in error.headers.items()}, error.read())

    def get(self, path: str, headers: dict[str, str] | None = None) -> Reply:
        """Send a GET request."""
        return self.request("GET", path, None, headers)

    def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> Reply:
        """Send a POST request with a JSON value or bytes."""
        return self.request("POST", path, body, headers)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to gunicorn's arbiter."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> int:
        """Stop the server and return its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(timeout=LONG_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def _settled(self) -> bool:
        try:
            return str(self.get("/ready").json()["status"]) != "loading"
        except (OSError, ValueError):
            return False
