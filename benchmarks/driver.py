"""A load generator on raw non-blocking sockets: closed loop like wrk's, and open loop at a fixed rate.

In the open loop a request is due at a fixed moment whether or not earlier ones were answered, and its latency counts from that
moment: a server that stalls is charged for every request that was due meanwhile (no coordinated omission; Tene, "How NOT to
Measure Latency", 2013). A request that finds no free connection waits for one, and that wait counts too.

``python -m benchmarks.driver --port P --requests FILE --connections 64 --seconds 5 [--rate 1000]`` prints one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import itertools
import json
import os
import select
import socket
import struct
import sys
import time
from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

QUANTILES = {"p50": 50.0, "p95": 95.0, "p99": 99.0, "p99.9": 99.9}
#: Points of the latency curve: 0, 50, 90, 99, 99.9 ..
CURVE = (0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.99, 100.0)
DRAIN_SECONDS = 2.0


@dataclass
class Load:
    """What was asked and what came back. Latencies are in milliseconds, rates in requests a second."""

    sent: int
    answered: int
    errors: int
    timeouts: int
    seconds: float
    rate: float
    latency_ms: dict[str, float]
    curve_ms: list[tuple[float, float]]
    generator_busy: float
    offered_rate: float | None = None
    statuses: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        latencies_seconds: np.ndarray,
        *,
        sent: int,
        errors: int,
        timeouts: int,
        seconds: float,
        busy_seconds: float,
        offered_rate: float | None,
        statuses: dict[str, int],
    ) -> Load:
        """The load with these answered requests; ``busy_seconds`` is the generator's CPU time."""
        ms = latencies_seconds * 1000 if len(latencies_seconds) else np.array([np.nan])
        return cls(
            sent=sent,
            answered=len(latencies_seconds),
            errors=errors,
            timeouts=timeouts,
            seconds=seconds,
            rate=len(latencies_seconds) / seconds,
            latency_ms={name: float(np.percentile(ms, q)) for name, q in QUANTILES.items()}
            | {"max": float(ms.max()), "mean": float(ms.mean())},
            curve_ms=[(q, float(np.percentile(ms, q))) for q in CURVE],
            generator_busy=busy_seconds / max(seconds, 1e-9),
            offered_rate=offered_rate,
            statuses=statuses,
        )


class Driver:
    """Sends requests in turn, over and over, on ``connections`` keep-alive connections."""

    def __init__(self, port: int, requests: Sequence[bytes], connections: int) -> None:
        self.port = port
        self._requests = itertools.cycle(requests)
        self.connections = connections
        self._epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._due: dict[int, float] = {}
        self._partial: dict[int, bytes] = {}
        self._free: deque[int] = deque()
        self._latencies = array("d")
        self._statuses: dict[str, int] = {}
        self._errors = 0
        self._sent = 0
        self._length = 0
        self._closed = False

    @property
    def latencies_seconds(self) -> list[float]:
        """Of every answered request since the warm-up."""
        return list(self._latencies)

    def open(self) -> None:
        """Connect them all, a few at a time so that no backlog overflows."""
        for i in range(self.connections):
            self._connect()
            if i % 64 == 63:
                time.sleep(0.005)

    def close(self) -> None:
        """Close every connection."""
        for sock in self._sockets.values():
            sock.close()
        self._epoll.close()

    def closed_loop(self, seconds: float) -> Load:
        """Every connection sends its next request as soon as the last is answered."""
        self._closed = True
        busy, began = time.process_time(), time.perf_counter()
        until = began + seconds
        for fd in list(self._free):
            self._send(fd, time.perf_counter())
        self._free.clear()
        clock = time.perf_counter
        while (now := clock()) < until:
            for fd, _ in self._epoll.poll(until - now):
                if self._receive(fd, clock()):
                    self._send(fd, clock())
        self._closed = False
        return self._result(clock() - began, busy, None)

    def open_loop(self, seconds: float, rate: float) -> Load:
        """``rate`` requests a second are due, evenly spaced, whatever the server does."""
        timer = Timer()
        self._epoll.register(timer.fd, select.EPOLLIN)
        waiting: deque[float] = deque()
        clock = time.perf_counter
        busy, began = time.process_time(), clock()
        total, scheduled, until = int(seconds * rate), 0, began + seconds
        while True:
            now = clock()
            while scheduled < total and began + scheduled / rate <= now:
                waiting.append(began + scheduled / rate)
                scheduled += 1
            while waiting and self._free:
                self._send(self._free.popleft(), waiting.popleft())
            done = scheduled == total and not waiting and not self._due
            if done or now > until + DRAIN_SECONDS:
                break
            if scheduled < total:
                timer.at(max(began + scheduled / rate - now, 1e-6))
            for fd, _ in self._epoll.poll(until + DRAIN_SECONDS - now + 0.001):
                if fd == timer.fd:
                    timer.clear()
                elif self._receive(fd, clock()):
                    self._free.append(fd)
        self._epoll.unregister(timer.fd)
        timer.close()
        elapsed = min(clock(), until) - began
        unanswered = len(waiting) + (total - scheduled)
        result = self._result(elapsed, busy, rate)
        result.timeouts += unanswered
        return result

    def warm_up(self, seconds: float) -> None:
        """A closed loop whose figures are thrown away; every connection is free again afterwards."""
        self.closed_loop(seconds)
        until = time.perf_counter() + DRAIN_SECONDS
        while self._due and time.perf_counter() < until:
            for fd, _ in self._epoll.poll(0.1):
                if self._receive(fd, 0.0):
                    self._free.append(fd)
        # What a slow server still owes would be answered in the time that counts.
        for fd in list(self._due):
            self._broken(fd)
        self._latencies = array("d")
        self._statuses = {}
        self._errors = self._sent = 0

    def _connect(self) -> int:
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        fd = sock.fileno()
        self._sockets[fd] = sock
        self._epoll.register(fd, select.EPOLLIN)
        self._free.append(fd)
        return fd

    def _send(self, fd: int, due: float) -> None:
        self._due[fd] = due
        self._sent += 1
        try:
            rest = next(self._requests)
            while rest:
                rest = rest[os.write(fd, rest) :]
        except BlockingIOError:
            # Larger than the socket's buffer: rare, and the wait is the request's own.
            os.set_blocking(fd, True)
            self._sockets[fd].sendall(rest)
            os.set_blocking(fd, False)
        except OSError:
            self._broken(fd)

    def _receive(self, fd: int, now: float) -> bool:
        """Whether a whole reply has come; latency and status are counted then."""
        try:
            data = os.read(fd, 262144)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._broken(fd)
            return False
        if fd in self._partial:
            data = self._partial.pop(fd) + data
        # Most replies are as long as the last one, so their head is not searched again.
        if len(data) != self._length and not self._whole(data):
            self._partial[fd] = data
            return False
        status = data[9:12]
        if status == b"200":
            self._latencies.append(now - self._due.pop(fd))
        else:
            self._due.pop(fd)
            self._errors += 1
            text = status.decode("latin-1")
            self._statuses[text] = self._statuses.get(text, 0) + 1
        return True

    def _whole(self, data: bytes) -> bool:
        head = data.find(b"\r\n\r\n")
        if head < 0:
            return False
        for line in data[:head].split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length":
                if len(data) >= head + 4 + int(value):
                    self._length = len(data)
                    return True
                return False
        return data.endswith(b"0\r\n\r\n")  # chunked

    def _broken(self, fd: int) -> None:
        """The server closed the connection, or refused bytes: an error, and a new connection in its place."""
        self._epoll.unregister(fd)
        self._sockets.pop(fd).close()
        self._partial.pop(fd, None)
        if self._due.pop(fd, None) is not None:
            self._errors += 1
            self._statuses["reset"] = self._statuses.get("reset", 0) + 1
        try:
            new = self._connect()
        except OSError:
            return
        if self._closed:
            self._free.remove(new)
            self._send(new, time.perf_counter())

    def _result(self, seconds: float, busy_before: float, offered: float | None) -> Load:
        return Load.of(
            np.frombuffer(self._latencies, dtype=np.float64),
            sent=self._sent,
            errors=self._errors,
            timeouts=len(self._due) if offered is not None else 0,
            seconds=seconds,
            busy_seconds=time.process_time() - busy_before,
            offered_rate=offered,
            statuses=dict(self._statuses),
        )


class Timer:
    """Linux's timerfd, through the C library: epoll's own time-out counts whole milliseconds."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd: int = self._libc.timerfd_create(1, os.O_NONBLOCK | os.O_CLOEXEC)  # CLOCK_MONOTONIC
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")

    def at(self, seconds: float) -> None:
        """Become readable once, after so long."""
        whole = int(seconds)
        spec = struct.pack("qqqq", 0, 0, whole, int((seconds - whole) * 1e9) or 1)
        self._libc.timerfd_settime(self.fd, 0, spec, None)

    def clear(self) -> None:
        """Be no longer readable."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 8)

    def close(self) -> None:
        """Give it back."""
        os.close(self.fd)


def main() -> None:
    """One load, as JSON on standard output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--requests", type=Path, required=True, help="HTTP requests as hex, one a line")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--warm-up", type=float, default=1.0)
    parser.add_argument("--rate", type=float, help="requests a second; without it the loop is closed")
    options = parser.parse_args()
    requests = [bytes.fromhex(line) for line in options.requests.read_text().split()]
    driver = Driver(options.port, requests, options.connections)
    driver.open()
    try:
        if options.warm_up:
            driver.warm_up(options.warm_up)
        load = (
            driver.open_loop(options.seconds, options.rate)
            if options.rate
            else driver.closed_loop(options.seconds)
        )
    finally:
        driver.close()
    json.dump(asdict(load), sys.stdout)


if __name__ == "__main__":
    main()
