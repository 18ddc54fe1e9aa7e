"""gunicorn's gevent worker without monkey patching.

gunicorn's worker patches the standard library for applications that wait in it. This worker waits through
gevent by name (``app/concurrency/forms.py``). It leaves the standard library alone because models are user
code and must find the Python in which they were verified: under gevent's patches ``subprocess`` fails on
native threads, ``multiprocessing`` and ``concurrent.futures`` hang, and the event loop takes the exit
statuses of child processes.
"""

from __future__ import annotations

import socket
from typing import Any

import gevent.socket
from gevent import monkey
from gunicorn.workers.ggevent import GeventWorker

from app.concurrency.forms import use_greenlets
from app.worker.forks import Forks


class GreenletWorker(GeventWorker):
    """A worker that serves each connection in a greenlet."""

    sockets: list[Any]

    def patch(self) -> None:
        """Prepare the process for greenlets, where gunicorn's own worker patches the standard library."""
        if self.cfg.is_ssl:
            monkey.patch_ssl()  # gunicorn creates the context, and the server needs one of gevent's
        self.sockets = [
            gevent.socket.socket(listener.FAMILY, socket.SOCK_STREAM, fileno=listener.sock.detach())
            for listener in self.sockets
        ]
        Forks(self.SIGNALS, self.sockets).start()
        use_greenlets()
