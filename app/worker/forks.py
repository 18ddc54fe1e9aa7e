"""What becomes of a process that a model forks in a worker: it is no worker, and must not be taken for one."""

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
    """``signals`` : those that the worker handles. ``listeners`` : its sockets."""

    def __init__(self, signals: Collection[int], listeners: Iterable[Any]) -> None:
        self._signals = signals
        self._places = {_place(listener) for listener in listeners}
        self._masks: dict[int, set[int]] = {}

    def start(self) -> None:
        """From now on, for as long as this process lives."""
        os.register_at_fork(before=self._before, after_in_parent=self._unmask, after_in_child=self._in_child)

    def _before(self) -> None:
        """A signal that came before the child has its own way with it would be lost: whoever ends it would wait for ever."""
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, self._signals)
        self._masks[threading.get_ident()] = set(map(int, mask))

    def _unmask(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._masks.pop(threading.get_ident()))

    def _in_child(self) -> None:
        """It dies of the signals that end a worker in good order, and clients' connections end when the worker ends them."""
        sys.setprofile(None)
        if isinstance(threading.main_thread(), threading._DummyThread):
            # CPython's gh-102512: until 3.11.8 a process that a native thread forked ends with status 1 for lack of it.
            getattr(threading.main_thread(), "_set_tstate_lock", lambda: None)()
        for descriptor in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
            with suppress(OSError):  # no socket
                with socket.socket(fileno=os.dup(descriptor)) as found:
                    ours = found.type == socket.SOCK_STREAM and _place(found) in self._places
                if ours:
                    os.close(descriptor)
        signal.set_wakeup_fd(-1)
        for number in self._signals:
            signal.signal(number, signal.SIG_DFL)
        self._unmask()


def _place(sock: Any) -> Any:
    """The port, or the path, at which a listening socket and what it accepted are found."""
    name = sock.getsockname()
    return name[1] if isinstance(name, tuple) else name
