"""gunicorn's gevent worker over Python's own standard library.

gunicorn's worker lets gevent patch the standard library, for applications that wait in it. This one waits through gevent
itself (``app/concurrency/forms.py``), and models are other people's code, which must find the Python that it was tried
in: patched, ``subprocess`` fails on native threads, ``multiprocessing`` and ``concurrent.futures`` hang for ever, and exit
statuses of processes are lost to the event loop.
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
    """Serves every connection in a greenlet."""

    sockets: list[Any]

    def patch(self) -> None:
        """Instead of patching: let the listening sockets be gevent's, and forked processes be on their own."""
        if self.cfg.is_ssl:
            monkey.patch_ssl()  # gunicorn makes the context, and the server needs one of gevent's
        self.sockets = [
            gevent.socket.socket(listener.FAMILY, socket.SOCK_STREAM, fileno=listener.sock.detach())
            for listener in self.sockets
        ]
        Forks(self.SIGNALS, self.sockets).start()
        use_greenlets()
