"""Tests of models that start processes and threads in a worker."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.end_to_end.server import ROOT, Server

#: Each class answers twice the first column plus the second.
CODE = '''
import concurrent.futures, multiprocessing, os, subprocess, tempfile, threading

import joblib

FORK = multiprocessing.get_context("fork")
AWK = ["awk", "{ print 2 * $1 + $2 }"]


def answer(row):
    return 2 * float(row[0]) + float(row[1])


def into(queue, rows):
    queue.put([answer(row) for row in rows])


def lines(X):
    return "".join(f"{row[0]!r} {row[1]!r}\\n" for row in X.tolist())


class Runs:
    def predict(self, X):
        done = subprocess.run(AWK, input=lines(X), capture_output=True, text=True, check=True, timeout=60)
        return [float(line) for line in done.stdout.split()]


class Fails:
    """Exit statuses count: one that is lost reads as success."""

    def predict(self, X):
        codes = [subprocess.call(["sh", "-c", f"exit {int(answer(row)) % 256}"]) for row in X[:1]]
        assert codes[0] == int(answer(X[0])) % 256 and os.system("exit 3") >> 8 == 3
        return [answer(row) for row in X]


class Shell:
    def predict(self, X):
        with tempfile.NamedTemporaryFile("w+") as file:
            file.write(lines(X))
            file.flush()
            assert os.system(f"test -s {file.name}") == 0
            with os.popen(f"awk '{{ print 2 * $1 + $2 }}' {file.name}") as said:
                return [float(line) for line in said.read().split()]


class Tokenizer:
    """A process for life, begun as the model is unpickled. It is asked line by line."""

    def __init__(self):
        self.__setstate__({})

    def __getstate__(self):
        return {}

    def __setstate__(self, state):
        self.process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def predict(self, X):
        self.process.stdin.write(lines(X))
        self.process.stdin.flush()
        return [answer(self.process.stdout.readline().split()) for _ in X]


class Pools:
    def predict(self, X):
        with FORK.Pool(2) as pool:
            return pool.map(answer, X)


class Processes:
    def predict(self, X):
        queue = FORK.Queue()
        process = FORK.Process(target=into, args=(queue, X))
        process.start()
        found = queue.get()
        process.join()
        assert process.exitcode == 0
        return found


class Executors:
    def predict(self, X):
        with concurrent.futures.ProcessPoolExecutor(1, FORK) as pool:
            return list(pool.map(answer, X))


class Threads:
    def predict(self, X):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            found = list(pool.map(answer, X))
        event = threading.Event()
        threading.Thread(target=event.set).start()
        assert event.wait(60)
        return found


class Loky:
    def predict(self, X):
        return joblib.Parallel(n_jobs=2, backend="loky")(joblib.delayed(sum)([row[0], row[0], row[1]]) for row in X)


class Rarely:
    """Quick as long as the numbers are small, so that it is called on the worker's own thread."""

    def predict(self, X):
        if X.max() > 1000:
            return Pools().predict(X)
        return [answer(row) for row in X]


class Stays:
    """Leaves a process behind that waits for it."""

    def predict(self, X):
        if X.max() > 1000:
            FORK.Process(target=threading.Event().wait, daemon=True).start()
        return [answer(row) for row in X]
'''
KINDS = (
    "Runs",
    "Fails",
    "Shell",
    "Tokenizer",
    "Pools",
    "Processes",
    "Executors",
    "Threads",
    "Loky",
    "Rarely",
    "Stays",
)


PUBLISH = """
import sys
import starts
from models.publishing import publish
from models.store import Store

for kind in sys.argv[1:]:
    sample = [[float(i), float(i % 7)] for i in range(32)]
    publish(Store("store"), kind.lower(), getattr(starts, kind)(), sample, code="starts.py")
"""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that another process has published into, since the models leave processes behind."""
    directory = tmp_path_factory.mktemp("processes")
    (directory / "starts.py").write_text(CODE)
    (directory / "publish.py").write_text(PUBLISH)
    command = [sys.executable, "publish.py", *KINDS]
    subprocess.run(command, cwd=directory, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    return directory / "store"


@pytest.fixture(scope="module")
def server(published: Path) -> Iterator[Server]:
    with Server(published) as running:
        yield running


def ask(server: Server, kind: str, rows: list[list[float]]) -> list[float]:
    reply = server.post(f"/models/{kind.lower()}/predict/batch", {"inputs": rows})
    assert reply.status == 200, reply.body
    predictions: list[float] = reply.json()["predictions"]
    return predictions


@pytest.mark.parametrize("kind", KINDS)
def test_it_answers_as_the_model_does(server: Server, kind: str) -> None:
    """One row, many rows, and sixteen concurrent clients get the model's answers."""
    assert ask(server, kind, [[4.0, 1.0]]) == [9.0]
    many = [[float(i), 0.5] for i in range(70)]
    assert ask(server, kind, many) == [2 * i + 0.5 for i in range(70)]
    with ThreadPoolExecutor(16) as clients:
        found = list(clients.map(lambda i: ask(server, kind, [[float(i), 0.25]]), range(32)))
    assert found == [[2 * i + 0.25] for i in range(32)]


def test_also_when_it_is_loaded_beside_requests_and_by_the_other_worker(published: Path) -> None:
    with Server(published, PLUMBLINE_LOADING="lazy", PLUMBLINE_WORKER_CLASS="gevent") as server:
        for kind in ("Runs", "Tokenizer", "Pools"):
            assert ask(server, kind, [[4.0, 1.0], [5.0, 2.0]]) == [9.0, 12.0]


def test_processes_are_forked_on_the_worker_s_own_thread_too(server: Server) -> None:
    assert server.get("/models/rarely/versions/1").json()["batching"]["lane"] == "hub"
    assert ask(server, "Rarely", [[2000.0, 1.0], [1.0, 1.0]]) == [4001.0, 3.0]
    assert ask(server, "Rarely", [[4.0, 1.0]]) == [9.0]


def test_what_a_model_forks_is_no_worker(server: Server) -> None:
    """A forked process has no port, no client connection and no slot, and ends on a signal."""
    (worker,) = server.workers()
    before = children(worker)
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        assert ask(server, "Stays", [[2000.0, 1.0]]) == [4001.0]
        (forked,) = children(worker) - before
        wait_until(lambda: not held(forked) & {what for what in held(worker) if "socket:" in what})
        assert not any(what.endswith(".lock") for what in held(forked))
        assert any(what.endswith(".lock") for what in held(worker))
    os.kill(forked, signal.SIGTERM)
    wait_until(lambda: "State:\tZ" in Path(f"/proc/{forked}/status").read_text())


def children(pid: int) -> set[int]:
    return {
        int(child)
        for tasks in Path(f"/proc/{pid}/task").iterdir()
        for child in (tasks / "children").read_text().split()
    }


def held(pid: int) -> set[str]:
    """Return the targets of a process's descriptors, without those that are closed meanwhile."""
    targets = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            targets.add(os.readlink(entry))
    return targets
