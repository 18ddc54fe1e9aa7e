"""A real gunicorn over the echo application, with either worker class."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.end_to_end.server import ROOT, free_port

OURS, STOCK = "app.worker.PlumblineWorker", "gevent"


@dataclass
class Serving:
    """A running server. ``log`` is everything that it printed."""

    port: int
    process: subprocess.Popen[bytes]
    path: Path

    @property
    def log(self) -> str:
        return self.path.read_text()

    def connect(self) -> socket.socket:
        """A new connection."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client


@contextmanager
def serving(
    worker: str,
    directory: Path,
    conf: str = "",
    *,
    workers: int = 1,
    app: str = "tests.app.worker.echo_app:app",
    **env: str,
) -> Iterator[Serving]:
    """``conf`` : further lines of gunicorn's configuration."""
    port = free_port()
    path = directory / f"conf-{port}.py"
    lines = [
        "keepalive = 2",
        "http_parser = 'python'",
        "limit_request_fields = 64",
        "control_socket_disable = True",
    ]
    path.write_text("\n".join([*lines, "worker_connections = 2000", "graceful_timeout = 5", conf, ""]))
    log = directory / f"{port}.log"
    command = [sys.executable, "-m", "gunicorn", app, "-c", str(path), "--bind", f"127.0.0.1:{port}"]
    command += ["--worker-class", worker, "--workers", str(workers)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out, env={**os.environ, **env})
        try:
            wait_for_answer(port, process, log)
            yield Serving(port, process, log)
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(timeout=20)


def wait_for_answer(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until a worker answers."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                client.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
                if client.recv(100):
                    return
        except OSError:
            pass
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def read_reply(client: socket.socket, begun: bytes = b"") -> tuple[bytes, bytes, bytes]:
    """(head, body, what came behind) of one reply; the head is empty when the connection ended first."""
    data = begun
    while b"\r\n\r\n" not in data:
        piece = client.recv(65536)
        if not piece:
            return b"", b"", data
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    )
    while len(rest) < length:
        piece = client.recv(65536)
        if not piece:
            break
        rest += piece
    return head, rest[:length], rest[length:]
