"""Fork handlers that turn a process that a model forks in a worker into an ordinary one.

Such a child inherits the worker's signal handlers and sockets. With them it would ignore signals that should
end it, and would keep clients' connections open.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any


class Forks:
    """The fork handlers of one worker."""

    def __init__(self, signals: Collection[int], listeners: Iterable[Any]) -> None:
        """Store the signals that the worker handles, and the addresses of its listening sockets."""
        self._signals = signals
        self._addresses = {_port_or_path(listener) for listener in listeners}
        self._masks: dict[int, set[int]] = {}

    def start(self) -> None:
        """Register the handlers. They stay registered until the process ends."""
        os.register_at_fork(before=self._before, after_in_parent=self._unmask, after_in_child=self._in_child)

    def _before(self) -> None:
        """Block the worker's signals until the child has default handlers.

        The worker's handlers would swallow a signal that the child gets before that, and its sender would
        wait forever.
        """
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, self._signals)
        self._masks[threading.get_ident()] = set(map(int, mask))

    def _unmask(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._masks.pop(threading.get_ident()))

    def _in_child(self) -> None:
        """Restore default signal handling, and close the child's copies of the worker's sockets."""
        sys.setprofile(None)
        if isinstance(threading.main_thread(), threading._DummyThread):
            # Before 3.11.8 a process that a native thread forked exits with status 1 without this (CPython
            # gh-102512).
            getattr(threading.main_thread(), "_set_tstate_lock", lambda: None)()
        for descriptor in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
            with suppress(OSError):  # not a socket
                with socket.socket(fileno=os.dup(descriptor)) as sock:
                    is_workers = sock.type == socket.SOCK_STREAM and _port_or_path(sock) in self._addresses
                if is_workers:
                    os.close(descriptor)
        signal.set_wakeup_fd(-1)
        for number in self._signals:
            signal.signal(number, signal.SIG_DFL)
        self._unmask()


def _port_or_path(sock: Any) -> Any:
    """Return what a listening socket and the connections that it accepted have in common."""
    name = sock.getsockname()
    return name[1] if isinstance(name, tuple) else name
