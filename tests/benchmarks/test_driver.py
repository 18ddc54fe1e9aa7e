"""The driver's open loop charges a server for its stalls; a driver that waits for replies does not."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.driver import Driver, Load

REQUEST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
RATE, SECONDS, STALL = 200.0, 3.0, 1.0


class Waiting(Driver):
    """What many drivers do: a request is sent when its turn has come and the last one was answered, and its latency
    counts from there. While the server stalls it sends nothing, so it sees one slow request."""

    def open_loop(self, seconds: float, rate: float) -> Load:
        began, busy = time.perf_counter(), time.process_time()
        fd = self._free.popleft()
        for i in range(int(seconds * rate)):
            while time.perf_counter() < began + i / rate:
                time.sleep(0.0001)
            self._send(fd, time.perf_counter())
            while not any(self._receive(f, time.perf_counter()) for f, _ in self._epoll.poll()):
                pass
        return self._result(time.perf_counter() - began, busy, rate)


@contextmanager
def stalling(stall_after: int, seconds: float) -> Iterator[int]:
    """The port of a server that stalls once."""
    command = [
        sys.executable,
        str(Path(__file__).with_name("stalling_server.py")),
        str(stall_after),
        str(seconds),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def latencies(kind: type[Driver]) -> list[float]:
    """Of every request, the longest first, in seconds, with a stall in the middle."""
    with stalling(int(RATE * SECONDS / 2), STALL) as port:
        driver = kind(port, [REQUEST], 64 if kind is Driver else 1)
        driver.open()
        try:
            load = driver.open_loop(SECONDS, RATE)
            assert load.errors == 0
            return sorted(driver.latencies_seconds, reverse=True)
        finally:
            driver.close()


def test_a_stall_is_charged_to_every_request_that_was_due_meanwhile() -> None:
    """Each waited for what was left of the stall when it was due; a busy machine only makes them wait longer."""
    waited = latencies(Driver)
    for i in range(int(RATE * STALL)):
        assert waited[i] >= STALL - i / RATE - 0.001
    assert median(waited) < waited[0] / 5, "the others are not charged for it"


def test_a_driver_that_waits_for_replies_does_not_see_it() -> None:
    """The same stall, and next to nothing is late: this is the mistake that the open loop is there to avoid."""
    waited = latencies(Waiting)
    assert waited[0] >= STALL - 0.001, "it does see the one request that it was waiting for"
    assert sum(seconds > STALL / 5 for seconds in waited) < RATE * STALL / 4


def test_the_closed_loop_counts_what_the_server_answered() -> None:
    with stalling(10**9, 0.0) as port:
        driver = Driver(port, [REQUEST], 8)
        driver.open()
        load = driver.closed_loop(0.5)
        driver.close()
    assert load.errors == 0
    assert load.answered == len(driver.latencies_seconds) > 0
    assert load.sent - load.answered <= 8
    assert load.latency_ms["p50"] <= load.latency_ms["p99"] <= load.latency_ms["max"]


def test_errors_are_counted_by_status_and_not_as_answers() -> None:
    """A server that goes away: every request that it did not answer is an error, none is dropped."""
    with stalling(10**9, 0.0) as port:
        driver = Driver(port, [REQUEST], 4)
        driver.open()
    load = driver.closed_loop(1.0)
    driver.close()
    assert load.answered == 0
    assert load.errors >= 4
    assert sum(load.statuses.values()) == load.errors


def test_what_a_slow_server_still_owes_after_the_warm_up_is_not_counted() -> None:
    """It stalls for longer than the driver waits; then every request that was due is told apart: answered, failed or late."""
    with stalling(40, 4.0) as port:
        driver = Driver(port, [REQUEST], 8)
        driver.open()
        driver.warm_up(0.5)
        assert len(driver._free) == 8
        assert not driver._due
        load = driver.open_loop(1.0, 200.0)
        driver.close()
    assert load.answered + load.errors + load.timeouts == 200


def test_requests_are_sent_in_turn() -> None:
    with stalling(10**9, 0.0) as port:
        asked = [REQUEST.replace(b"{}", body) for body in (b"{}", b"[]", b"01")]
        driver = Driver(port, asked, 1)
        driver.open()
        sent: list[bytes] = []
        driver._requests = iter_and_keep(driver._requests, sent)
        while len(sent) < 6:
            driver.closed_loop(0.1)
        driver.close()
    assert sent[:6] == asked * 2


def iter_and_keep(requests: Iterator[bytes], kept: list[bytes]) -> Iterator[bytes]:
    for request in requests:
        kept.append(request)
        yield request
