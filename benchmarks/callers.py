"""One client connection to a running arm: rows in, labels and probabilities out.

For correctness, not for load: a caller waits for each reply.
"""

from __future__ import annotations

import http.client
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from benchmarks.arms import Arm
from benchmarks.environments import PEERS, Environment, scrub
from benchmarks.wires import Answer, Wire
from benchmarks.workload import Rows

TIMEOUT_SECONDS = 15.0


class CallFailed(Exception):
    """No reply, or one that is an error; the message says which."""


class Caller(Protocol):
    """Sends one request at a time."""

    def __call__(self, rows: Rows) -> Answer:
        """Raises CallFailed, or BadReply when the reply is of another form."""
        ...


class HttpCaller:
    """Keeps one connection, and opens a new one when the server closed it."""

    def __init__(self, wire: Wire, port: int) -> None:
        self._wire = wire
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)

    def __call__(self, rows: Rows) -> Answer:
        """Raises CallFailed or BadReply."""
        request = self._wire.request(rows)
        status, body = self.exchange("POST", request.path, request.body, self._wire.headers)
        if status != 200:
            raise CallFailed(f"status {status}: {scrub(body[:200].decode(errors='replace'))}")
        return self._wire.answer(body)

    def exchange(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Status and body of one exchange; raises CallFailed when there is none."""
        try:
            self._connection.request(method, path, body, headers or {})
            response = self._connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise CallFailed(scrub(f"{type(error).__name__}: {error}")) from error

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class GrpcCaller:
    """Speaks through the peer's own client program, because the harness has no gRPC library."""

    def __init__(self, wire: Wire, peer: str, port: int, environment: Environment) -> None:
        self._wire = wire
        program = [str(environment.python), str(PEERS / peer / "client.py"), f"127.0.0.1:{port}"]
        self._client = subprocess.Popen(
            program,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def __call__(self, rows: Rows) -> Answer:
        """Raises CallFailed or BadReply."""
        assert self._client.stdin is not None and self._client.stdout is not None
        try:
            self._client.stdin.write(self._wire.request(rows).body.hex() + "\n")
            self._client.stdin.flush()
            line = self._client.stdout.readline()
        except OSError as error:
            raise CallFailed("the client program ended") from error
        if not line or line.startswith("!"):
            raise CallFailed(scrub(line[1:]) or "the client program ended")
        return self._wire.answer(bytes.fromhex(line))

    def close(self) -> None:
        """End the client program: it stops when its input does."""
        assert self._client.stdin is not None and self._client.stdout is not None
        self._client.stdin.close()
        try:
            self._client.wait(TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._client.kill()
            self._client.wait()
        self._client.stdout.close()


@contextmanager
def caller(arm: Arm, port: int, environment: Environment) -> Iterator[HttpCaller | GrpcCaller]:
    """A caller for an arm that listens on ``port``, closed at the end."""
    made: HttpCaller | GrpcCaller
    if arm.protocol == "grpc":
        made = GrpcCaller(arm.wire, arm.peer, port, environment)
    else:
        made = HttpCaller(arm.wire, port)
    try:
        yield made
    finally:
        made.close()
