"""A running server: started on a free port, pinned to a core, timed to its first answer, measured, stopped.

    with running(ARMS["grpc"], "rf", core=0) as server:
        server.url, server.cold_start_seconds, server.pss_bytes(), server.cpu_seconds()

    with running(over_store(path), None, None, workers=4) as server:  # this project over a store
        server.port, server.work / "run"

The server gets an environment of its own, with nothing inherited that could configure it, and a fresh
directory as its home. When the block ends, no process of it is left.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import callers, workload
from benchmarks.arms import ARMS, Arm
from benchmarks.callers import CallFailed, GrpcCaller, HttpCaller
from benchmarks.environments import PEERS, ROOT, Environment, environment_of, last_reason, scrub
from benchmarks.processes import MARKER, ProcessTree
from benchmarks.wires import BadReply

START_SECONDS = 90.0
PREPARE_SECONDS = 120.0
GRACE_SECONDS = 5.0
POLL_SECONDS = 0.01
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class NotStarted(Exception):
    """An arm did not come up; the message is the reason, in one line."""


@dataclass
class Running:
    """A server that answers.

    model: of the workload; empty for a server over a store of somebody else's.
    pid: of its first process.
    cold_start_seconds: None when its first well-formed answer was wrong.
    """

    arm: Arm
    model: str
    port: int
    environment: Environment
    work: Path
    tree: ProcessTree
    pid: int = 0
    cold_start_seconds: float | None = None

    @property
    def url(self) -> str:
        """The server's base, without a path."""
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def caller(self) -> Iterator[HttpCaller | GrpcCaller]:
        """One client connection."""
        with callers.caller(self.arm, self.port, self.environment) as made:
            yield made

    def pss_bytes(self) -> int:
        """Memory of all processes of the server, shared pages counted once."""
        return self.tree.pss_bytes()

    def cpu_seconds(self) -> float:
        """CPU time that all processes of the server used since its start."""
        return self.tree.cpu_seconds()

    def process_count(self) -> int:
        """How many processes the server is."""
        return len(self.tree.processes())

    def log(self) -> str:
        """Everything that the server printed so far."""
        path = self.work / "log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


@contextmanager
def running(
    arm: Arm,
    model: str | None,
    core: int | None,
    *,
    workers: int = 1,
    environment: Environment | None = None,
    start_seconds: float = START_SECONDS,
    grace_seconds: float = GRACE_SECONDS,
    root: Path = ROOT,
) -> Iterator[Running]:
    """Start the arm with a model of the workload, pinned to ``core`` (None: not pinned); stop it at the end.

    Without a model nothing is prepared or predicted: it has started when its ``ready_path`` answers 200.
    A server has ``grace_seconds`` between SIGTERM and SIGKILL. ``root`` is the checkout that is served.
    Raises NotStarted, or NotInstalled when the peer's environment has to be made and cannot be.
    """
    environment = environment or environment_of(arm.peer)
    if model is not None:
        workload.parity(model)  # before anything is timed: the first time it takes seconds
    with ExitStack() as stack:
        # Short, because Ray puts UNIX sockets into it.
        work = Path(tempfile.mkdtemp(prefix="bench-"))
        stack.callback(shutil.rmtree, work, ignore_errors=True)
        ports = _free_ports(3)
        values = _values(arm, model, work, environment, ports, workers) | {"root": str(root)}
        tree = ProcessTree(uuid.uuid4().hex)
        server = Running(arm, model or "", ports[0], environment, work, tree)
        variables = _variables(arm, values, tree.marker)
        if model is not None:
            _prepare(server, values, variables)
        stack.callback(tree.stop, grace_seconds)
        # The client first: one that is a program of its own takes longer to start than some servers.
        with server.caller() as ask:
            began = time.perf_counter()
            process = _start(server, _filled(arm.argv, values), variables, core, stack)
            stack.callback(_reap, process, tree, grace_seconds)
            server.pid = process.pid  # taskset becomes the server
            server.cold_start_seconds = _first_answer(server, process, ask, began, start_seconds)
        yield server


def _values(
    arm: Arm, model: str | None, work: Path, environment: Environment, ports: list[int], workers: int
) -> dict[str, str]:
    """What the placeholders of an arm stand for."""
    return {
        "python": str(environment.python),
        "bin": str(environment.bin),
        "root": str(ROOT),
        "peer": str(PEERS / arm.peer),
        "work": str(work),
        "model": str(workload.artifact(model)) if model else "",
        "sample": str(workload.sample(model)) if model else "",
        "port": str(ports[0]),
        "port_2": str(ports[1]),
        "port_3": str(ports[2]),
        "workers": str(workers),
        "processes_beside": str(workers if workers > 1 else 0),
    }


def _variables(arm: Arm, values: Mapping[str, str], marker: str) -> dict[str, str]:
    """The whole environment of the server's processes."""
    return {
        "PATH": f"{values['bin']}:/usr/local/bin:/usr/bin:/bin",
        "HOME": values["work"],
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        **dict.fromkeys(ONE_THREAD, "1"),
        "BENCH_MODEL": values["model"],
        "BENCH_PORT": values["port"],
        "BENCH_WORKERS": values["workers"],
        "BENCH_WORK": values["work"],
        **{name: value.format_map(values) for name, value in arm.env.items()},
        MARKER: marker,
    }


def _filled(command: str, values: Mapping[str, str]) -> list[str]:
    return [word.format_map(values) for word in command.split()]


def _prepare(server: Running, values: Mapping[str, str], variables: Mapping[str, str]) -> None:
    """Run what the arm needs before its start; raises NotStarted."""
    if not server.arm.prepare:
        return
    command = _filled(server.arm.prepare, values)
    try:
        done = subprocess.run(
            command,
            env=variables,
            cwd=values["root"],
            capture_output=True,
            text=True,
            timeout=PREPARE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotStarted(f"preparing: {last_reason(str(error))}") from error
    if done.returncode != 0:
        raise NotStarted(f"preparing: {last_reason(done.stdout + done.stderr)}")


def _start(
    server: Running, command: list[str], variables: dict[str, str], core: int | None, stack: ExitStack
) -> subprocess.Popen[bytes]:
    """The first process of the server, writing its log."""
    if core is not None:
        command = ["taskset", "--cpu-list", str(core), *command]
    log = stack.enter_context((server.work / "log").open("wb"))
    try:
        return subprocess.Popen(
            command,
            env=variables,
            cwd=server.work,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise NotStarted(f"it cannot be run: {scrub(str(error))}") from error


def _reap(process: subprocess.Popen[bytes], tree: ProcessTree, grace_seconds: float) -> None:
    tree.stop(grace_seconds)
    process.wait()


def _first_answer(
    server: Running,
    process: subprocess.Popen[bytes],
    ask: HttpCaller | GrpcCaller,
    began: float,
    start_seconds: float,
) -> float | None:
    """Seconds to the first correct answer, without a model to readiness; None when the answer was wrong."""
    expected = workload.parity(server.model) if server.model else None
    fault = "it never answered"
    while time.perf_counter() - began < start_seconds:
        if process.poll() is not None:
            raise NotStarted(f"it ended with code {process.returncode}: {last_reason(server.log())}")
        try:
            if isinstance(ask, HttpCaller) and ask.exchange("GET", server.arm.ready_path)[0] != 200:
                raise CallFailed("it is not ready")
            if expected is None:
                return time.perf_counter() - began
            answer = ask(expected.rows[:1])
        except BadReply:
            return None
        except CallFailed as error:
            fault = str(error)
            time.sleep(POLL_SECONDS)
            continue
        seconds = time.perf_counter() - began
        correct = answer.labels == expected.labels[:1] or not server.arm.ranked
        return seconds if correct else None
    raise NotStarted(f"no answer in {start_seconds:.0f} s: {fault}; {last_reason(server.log())}")


def over_store(store: Path, **settings: str) -> Arm:
    """This project over a store, with these settings and without an access log.

    ``running`` starts it without a model of the workload: it has started when it is ready.
    """
    arm = ARMS["plumbline"]
    env = {name: value for name, value in arm.env.items() if name != "PLUMBLINE_DEFAULT_MODEL"}
    return replace(arm, env={**env, "PLUMBLINE_ACCESS_LOG": "0", **settings, "PLUMBLINE_STORE": str(store)})


def _free_ports(count: int) -> list[int]:
    """Different ports of the loopback interface that nothing listens on."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in probes]


def cores() -> list[int]:
    """The cores that this process may use."""
    return sorted(os.sched_getaffinity(0))


def core_pair() -> tuple[int, int] | tuple[None, None]:
    """A core for the server and another for the generator; None where they have to share the only one."""
    usable = cores()
    return (usable[0], usable[1]) if len(usable) > 1 else (None, None)
