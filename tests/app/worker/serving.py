"""A real gunicorn over the echo application, with either worker class."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import LONG_SECONDS
from tests.counted import COUNTED
from tests.end_to_end.server import ROOT, free_port

OURS, STOCK = "app.worker.PlumblineWorker", "gevent"


@dataclass
class Serving:
    """A running server. ``log`` is everything that it printed; ``tls`` how clients connect, None for plain TCP."""

    port: int
    process: subprocess.Popen[bytes]
    path: Path
    tls: ssl.SSLContext | None = None

    @property
    def log(self) -> str:
        return self.path.read_text()

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def connect(self, receive_bytes: int = 0) -> socket.socket:
        """A new connection, whose client has room for so many bytes; 0 for what is usual."""
        client = self.open(receive_bytes)
        try:
            return self.tls.wrap_socket(client) if self.tls else client
        except OSError:
            client.close()
            raise

    def open(self, receive_bytes: int = 0) -> socket.socket:
        """A new TCP connection."""
        client = socket.socket()
        client.settimeout(LONG_SECONDS)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_bytes:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        try:
            client.connect(("127.0.0.1", self.port))
        except OSError:
            client.close()
            raise
        return client

    def unread(self, client: socket.socket) -> int:
        """How many bytes of what this client sent lie in the server's socket, whose process has not read them yet."""
        theirs, ours = f":{self.port:04X}", f":{client.getsockname()[1]:04X}"
        for line in Path("/proc/net/tcp").read_text().splitlines():
            _, local, remote, _, queues, *_ = line.split()
            if local.endswith(theirs) and remote.endswith(ours):
                return int(queues.split(":")[1], 16)
        return 0


@contextmanager
def serving(
    worker: str,
    directory: Path,
    conf: str = "",
    *,
    workers: int = 1,
    app: str = "tests.app.worker.echo_app:app",
    tls: ssl.SSLContext | None = None,
    **env: str,
) -> Iterator[Serving]:
    """``conf`` : further lines of gunicorn's configuration. What they do not limit has time, also on a slow machine."""
    port = free_port()
    path = directory / f"conf-{port}.py"
    lines = [
        f"keepalive = timeout = {LONG_SECONDS:.0f}",
        "http_parser = 'python'",
        "limit_request_fields = 64",
        "control_socket_disable = True",
    ]
    path.write_text("\n".join([*lines, "worker_connections = 2000", "graceful_timeout = 30", conf, ""]))
    log = directory / f"{port}.log"
    command = [sys.executable, "-m", "gunicorn", app, "-c", str(path), "--bind", f"127.0.0.1:{port}"]
    command += ["--worker-class", worker, "--workers", str(workers)]
    patience = {"PLUMBLINE_BODY_TIMEOUT_SECONDS": f"{LONG_SECONDS:.0f}"}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=out, stderr=out, env={**os.environ, **COUNTED, **patience, **env}
        )
        try:
            server = Serving(port, process, log, tls)
            wait_for_answer(server)
            yield server
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(timeout=LONG_SECONDS)


def wait_for_answer(server: Serving) -> None:
    """Until a worker answers."""
    deadline = time.monotonic() + LONG_SECONDS
    while True:
        try:
            with server.connect() as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                if client.recv(100):
                    return
        except OSError:
            pass
        assert server.process.poll() is None and time.monotonic() < deadline, server.log
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
    body = bytearray(rest)
    while len(body) < length:
        piece = client.recv(65536)
        if not piece:
            break
        body += piece
    return head, bytes(body[:length]), bytes(body[length:])


def certified(directory: Path) -> tuple[str, ssl.SSLContext]:
    """Lines of gunicorn's configuration for TLS with a certificate of its own, and how clients connect who trust it."""
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    return f"certfile = {str(certificate)!r}\nkeyfile = {str(key)!r}", context
