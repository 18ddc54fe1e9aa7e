"""Clients that send requests over persistent connections and record every reply."""

from __future__ import annotations

import http.client
import json
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType

import numpy as np

from tests.conftest import LONG_SECONDS


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: when it was sent and answered (time.monotonic), and what came. ``fault`` : what was wrong with it."""

    sent: float
    answered: float
    version: int = 0
    fault: str = ""


@dataclass
class Load:
    """``with Load(port, path) as load``: so many clients ask until the end, each with a pause between its requests.

    Every version answers the sum of a row's two values plus its own number, so each body tells which version made it.
    """

    port: int
    path: str = "/models/toy/predict"
    clients: int = 4
    pause_seconds: float = 0.01
    asked: list[Asked] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Load:
        self._threads = [threading.Thread(target=self._ask, args=(seed,)) for seed in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def faults(self) -> list[str]:
        """Return the faults of all requests."""
        return [asked.fault for asked in self.asked if asked.fault]

    def _ask(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LONG_SECONDS)
        while not self._stop.is_set():
            row = rng.integers(0, 1000, 2).tolist()
            sent = time.monotonic()
            try:
                connection.request(
                    "POST", self.path, json.dumps({"features": row}), {"Content-Type": "application/json"}
                )
                reply = connection.getresponse()
                body = reply.read()
                self.asked.append(_judged(sent, row, reply, body))
            except (OSError, http.client.HTTPException) as error:
                self.asked.append(Asked(sent, time.monotonic(), fault=f"{type(error).__name__}: {error}"))
                connection.close()
            time.sleep(self.pause_seconds)
        connection.close()


def _judged(sent: float, row: list[int], reply: http.client.HTTPResponse, body: bytes) -> Asked:
    now = time.monotonic()
    if reply.status != 200:
        return Asked(sent, now, fault=f"{reply.status}: {body[:200]!r}")
    version = int(reply.headers["X-Model-Version"])
    found = json.loads(body)
    if round(found["prediction"], 6) != sum(row) + version or found["model_version"] != str(version):
        return Asked(sent, now, version, f"version {version} answered {body[:200]!r} to {row}")
    return Asked(sent, now, version)
