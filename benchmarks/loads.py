"""Which generator drives which load: wrk for closed loops, our driver for open ones, its own client for gRPC."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import wrk
from benchmarks.driver import Load
from benchmarks.environments import PEERS, ROOT
from benchmarks.plan import Cell
from benchmarks.server_process import Running
from benchmarks.wires import Request
from benchmarks.workload import requests

#: A generator that hangs is given up after the load's own time and this.
PATIENCE_SECONDS = 60.0


class LoadFailed(Exception):
    """The generator did not finish; the message is the reason, in one line."""


def drive(server: Running, cell: Cell, seconds: float, core: int | None, rate: float | None = None) -> Load:
    """Load the server as the cell says, from a process pinned to ``core``; raises LoadFailed or wrk.WrkMissing."""
    asked = [server.arm.wire.request(rows) for rows in requests(server.model, cell.rows)]
    if server.arm.protocol == "grpc":
        return _grpc(server, asked, cell.connections, seconds, core, rate)
    if rate is not None:
        return _by_driver(server, asked, cell.connections, seconds, core, rate)
    content_type = server.arm.wire.headers["Content-Type"]
    try:
        return wrk.closed_loop(
            server.port,
            asked[0].path,
            [request.body for request in asked],
            content_type,
            connections=cell.connections,
            seconds=seconds,
            core=core,
            own_header=cell.own_header,
        )
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        raise LoadFailed(" ".join(str(error).split())[:300]) from error


def drive_closed_by_driver(server: Running, cell: Cell, seconds: float, core: int | None) -> Load:
    """The closed loop of the driver, where ``drive`` uses wrk: to compare the two. Raises LoadFailed."""
    asked = [server.arm.wire.request(rows) for rows in requests(server.model, cell.rows)]
    return _by_driver(server, asked, cell.connections, seconds, core, None)


def http_bytes(request: Request, headers: dict[str, str]) -> bytes:
    """The request as it goes over the wire."""
    lines = [f"POST {request.path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(request.body)}", "", ""]
    return "\r\n".join(lines).encode() + request.body


def _by_driver(
    server: Running,
    asked: Sequence[Request],
    connections: int,
    seconds: float,
    core: int | None,
    rate: float | None,
) -> Load:
    with tempfile.NamedTemporaryFile("w", suffix=".requests") as file:
        file.writelines(f"{http_bytes(request, server.arm.wire.headers).hex()}\n" for request in asked)
        file.flush()
        command = [
            sys.executable,
            "-m",
            "benchmarks.driver",
            "--port",
            str(server.port),
            "--requests",
            file.name,
        ]
        command += ["--connections", str(connections), "--seconds", str(seconds)]
        command += [] if rate is None else ["--rate", str(rate)]
        return Load(**json.loads(_output([*command, "--warm-up", "0.3"], core, seconds)))


def _grpc(
    server: Running,
    asked: Sequence[Request],
    connections: int,
    seconds: float,
    core: int | None,
    rate: float | None,
) -> Load:
    said = {
        "target": f"127.0.0.1:{server.port}",
        "requests": [request.body.hex() for request in asked],
        "connections": connections,
        "seconds": seconds,
        "warm_up": 0.3,
        "rate": rate,
    }
    command = [str(server.environment.python), str(PEERS / "grpc" / "load.py")]
    found = json.loads(_output(command, core, seconds, json.dumps(said) + "\n"))
    latencies = np.array(found.pop("latencies"), dtype=np.float64)
    return Load.of(latencies, **found, offered_rate=rate, statuses={})


def _output(command: list[str], core: int | None, seconds: float, given: str = "") -> str:
    pin = [] if core is None else ["taskset", "-c", str(core)]
    try:
        done = subprocess.run(
            [*pin, *command],
            input=given,
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=seconds + PATIENCE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LoadFailed(f"{Path(command[0]).name} did not end") from error
    if done.returncode != 0:
        raise LoadFailed(" ".join(done.stderr.split())[-300:])
    return done.stdout
