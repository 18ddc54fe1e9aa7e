"""A fresh interpreter that has what a server has and nothing of this process, from which others are forked
quickly.

It starts in the project's directory, where a server starts: neither this process's working directory, nor its
script's, nor its PYTHONPATH is looked into. Importing the libraries takes about a second, so it is done once
for many forks; whoever wants to spare even that calls ``start`` before there is something to do.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

from models.threads import ONE_THREAD

PROJECT = Path(__file__).resolve().parents[2]
#: The interpreter ends after this time without a request; the next request starts another.
IDLE_SECONDS = 60.0
#: How soon it is seen that a fork ended.
POLL_MS = 10
#: What must not reach it: where else modules are found, and a secret that no model needs.
NOT_INHERITED = ("PYTHONPATH", "PYTHONSAFEPATH", "PLUMBLINE_ADMIN_TOKEN")


class ForkServer:
    """A fresh interpreter that forks.

    program: Python code that calls ``serve`` below in the interpreter.
    """

    def __init__(self, program: str) -> None:
        self._program = program
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._owner = 0

    def start(self) -> None:
        """Begin to start it, unless it runs; does not wait for it. Raises OSError."""
        with self._lock:
            if self._owner == os.getpid() and self._process is not None:
                if self._process.poll() is None:
                    return
                self.close()
            ours, its = socket.socketpair()
            with its:
                environment = {k: v for k, v in os.environ.items() if k not in NOT_INHERITED}
                self._process = subprocess.Popen(
                    [sys.executable, "-c", self._program],
                    cwd=PROJECT,
                    stdin=its.fileno(),
                    stdout=subprocess.DEVNULL,
                    env={**environment, **ONE_THREAD},
                    start_new_session=True,  # Ctrl-C is for this process, which then ends it
                )
            self._control, self._owner = ours, os.getpid()
            atexit.register(self.close)

    @contextmanager
    def fork(self) -> Iterator[socket.socket]:
        """A connection to a fork that does its work; leaving the context ends it. Raises OSError."""
        ours, its = socket.socketpair()
        with ours:
            with its, self._lock:
                try:
                    self._send(its)
                except (BrokenPipeError, ConnectionResetError):  # it ended just now
                    self.close()
                    self._send(its)
            yield ours

    def _send(self, connection: socket.socket) -> None:
        self.start()
        assert self._control is not None
        socket.send_fds(self._control, [b"+"], [connection.fileno()])

    def close(self) -> None:
        """End it."""
        with self._lock:
            atexit.unregister(self.close)
            if self._control is not None:
                self._control.close()
            if self._process is not None and self._owner == os.getpid():
                with suppress(OSError):
                    self._process.kill()
                self._process.wait()
            self._process = self._control = None


def serve(preloaded: Sequence[str], work: Callable[[socket.socket], None]) -> None:
    """In the fresh interpreter: import the modules, and fork for every connection that comes, one after the
    other.

    When a fork ended, how it did is the last line of its connection. When the connection is closed at its
    other end, the fork is ended.
    """
    with socket.socket(fileno=os.dup(0)) as control:
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        for module in preloaded:
            with suppress(ImportError):
                import_module(module)
        while select.select([control], [], [], IDLE_SECONDS)[0]:
            _, descriptors, *_ = socket.recv_fds(control, 1, 1)
            if not descriptors:
                return
            with socket.socket(fileno=descriptors[0]) as connection:
                fork = os.fork()
                if fork == 0:
                    _work(control, connection, work)
                _watch(fork, connection)


def _work(control: socket.socket, connection: socket.socket, work: Callable[[socket.socket], None]) -> None:
    """In the fork; never returns. What foreign code prints in it was printed in the publisher's process
    already.
    """
    code = 1
    try:
        control.close()
        os.setpgid(0, 0)
        with open(os.devnull, "wb") as nothing:
            for descriptor in (1, 2):
                os.dup2(nothing.fileno(), descriptor)
        work(connection)
        code = 0
    finally:
        os._exit(code)


def _watch(fork: int, connection: socket.socket) -> None:
    with suppress(OSError):  # as the fork does itself, whichever comes first
        os.setpgid(fork, fork)
    other_end = select.poll()
    other_end.register(connection, 0)  # POLLHUP is always told
    ended, status = 0, 0
    while not ended:
        ended, status = os.waitpid(fork, os.WNOHANG)
        if not ended and other_end.poll(POLL_MS):
            break
    with suppress(ProcessLookupError, PermissionError):  # with what the model may have started
        os.killpg(fork, signal.SIGKILL)
    if not ended:
        os.waitpid(fork, 0)
        return
    code = os.waitstatus_to_exitcode(status)
    with suppress(OSError):
        connection.sendall(f"{f'exit status {code}' if code >= 0 else f'signal {-code}'}\n".encode())
