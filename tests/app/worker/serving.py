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
    """A running server."""

    port: int
    process: subprocess.Popen[bytes]
    #: The file of its output.
    path: Path
    #: The client context of a server with TLS; None for plain TCP.
    tls: ssl.SSLContext | None = None

    @property
    def log(self) -> str:
        """Return everything that the server has printed."""
        return self.path.read_text()

    def workers(self) -> list[int]:
        """Return the process ids of the workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def connect(self, receive_bytes: int = 0) -> socket.socket:
        """Open a connection whose receive buffer has this many bytes; 0 for the default."""
        client = self.open(receive_bytes)
        try:
            return self.tls.wrap_socket(client) if self.tls else client
        except OSError:
            client.close()
            raise

    def open(self, receive_bytes: int = 0) -> socket.socket:
        """Open a TCP connection."""
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
        """Return how many bytes from this client lie unread in the server's socket."""
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
    """Start a server.

    ``conf`` holds further lines of gunicorn's configuration; limits that it leaves out are long.
    """
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
    """Wait until a worker answers."""
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
    """Return head, body and following bytes of one reply; the head is empty if the connection ended first."""
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
    """Return gunicorn's configuration for TLS with a new certificate, and a client context that trusts it."""
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    return f"certfile = {str(certificate)!r}\nkeyfile = {str(key)!r}", context
