"""A fresh interpreter that has what a server has and nothing of this process, and forks quickly.

It starts in the project's directory, where a server starts: this process's working directory, its script's
directory and its PYTHONPATH are not searched. Importing the libraries takes about a second, so it happens
once for many forks. A caller can hide even that second by calling ``start`` ahead of time.
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
#: The interpreter exits after this time without a request; the next request starts another one.
IDLE_SECONDS = 60.0
#: The interval of checking whether a fork has ended.
POLL_MS = 10
#: Variables that are removed from its environment: other module paths, and a secret that models do not need.
NOT_INHERITED = ("PYTHONPATH", "PYTHONSAFEPATH", "PLUMBLINE_ADMIN_TOKEN")


class ForkServer:
    """A fresh interpreter that forks on request.

    ``program`` is the Python code that calls ``serve`` below in the interpreter.
    """

    def __init__(self, program: str) -> None:
        self._program = program
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._owner = 0

    def start(self) -> None:
        """Start the interpreter unless it runs, without waiting for it. Raises OSError."""
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
                    start_new_session=True,  # Ctrl-C then reaches only this process, which stops it
                )
            self._control, self._owner = ours, os.getpid()
            atexit.register(self.close)

    @contextmanager
    def fork(self) -> Iterator[socket.socket]:
        """Yield a connection to a fork that does its work; leaving the context ends the fork. Raises
        OSError.
        """
        ours, its = socket.socketpair()
        with ours:
            with its, self._lock:
                try:
                    self._send(its)
                except (BrokenPipeError, ConnectionResetError):  # it has just exited
                    self.close()
                    self._send(its)
            yield ours

    def _send(self, connection: socket.socket) -> None:
        self.start()
        assert self._control is not None
        socket.send_fds(self._control, [b"+"], [connection.fileno()])

    def close(self) -> None:
        """Stop the interpreter."""
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
    """Import the modules, and fork for every connection, one after the other. It runs in the fresh
    interpreter.

    The last line of a connection is the exit status of its fork. Closing the other end of a connection ends
    its fork.
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
    """Do the work of a fork, and never return.

    Output is dropped: what a model's code prints was already printed in the publisher's process.
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
    with suppress(OSError):  # the fork does the same, and either may come first
        os.setpgid(fork, fork)
    other_end = select.poll()
    other_end.register(connection, 0)  # poll() always reports POLLHUP
    ended, status = 0, 0
    while not ended:
        ended, status = os.waitpid(fork, os.WNOHANG)
        if not ended and other_end.poll(POLL_MS):
            break
    with suppress(ProcessLookupError, PermissionError):  # including processes that the model may have started
        os.killpg(fork, signal.SIGKILL)
    if not ended:
        os.waitpid(fork, 0)
        return
    code = os.waitstatus_to_exitcode(status)
    with suppress(OSError):
        connection.sendall(f"{f'exit status {code}' if code >= 0 else f'signal {-code}'}\n".encode())
