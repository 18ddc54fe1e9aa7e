"""What is noted by requests is written beside them, whatever happens to the output."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import threading
import time
from pathlib import Path

import pytest

from app.config import Settings
from app.inference.messages import Reply
from app.monitoring.access_log import ATOMIC_BYTES, JsonLines
from app.wiring import wire
from tests.conftest import wait_until


def finished(name: str, path: str = "/") -> Reply:
    return Reply(time.time_ns(), 0.001, name, "GET", path, 200, None, "", 0)


class Broken(io.StringIO):
    """Fails some times, as a full disk does."""

    failures = 3

    def write(self, text: str) -> int:
        if self.failures:
            self.failures -= 1
            raise OSError(28, "No space left on device")
        return super().write(text)


def test_a_failed_write_does_not_end_the_log(tmp_path: Path) -> None:
    services = wire(Settings(store=tmp_path))
    stream = Broken()
    services.access_log = JsonLines(stream)
    services.start()
    try:
        for i in range(100):
            services.access_log.replied(finished(str(i)))
            time.sleep(0.01)
        wait_until(lambda: '"99"' in stream.getvalue())
    finally:
        services.close()
    assert stream.failures == 0


def test_a_pipe_that_nobody_reads_holds_up_nobody_and_gets_its_lines_later(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write, b"\n" * 65536)
    os.set_blocking(write, True)
    services = wire(Settings(store=tmp_path))
    with os.fdopen(write, "w") as stream, os.fdopen(read, "rb") as reader:
        services.access_log = JsonLines(stream)
        services.start()
        for name in ("first", "second"):
            services.access_log.replied(finished(name))
            time.sleep(0.2)
        services.access_log.replied(finished("last"))
        found: list[bytes] = []
        drain = threading.Thread(target=lambda: found.append(reader.read()))
        drain.start()
        services.close()
        stream.close()
        wait_until(lambda: bool(found))
    assert all(f'"{name}"'.encode() in found[0] for name in ("first", "second", "last"))


def test_lines_of_several_workers_are_not_mixed_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole lines, in writes that a pipe takes at once."""
    written: list[bytes] = []
    real = os.write

    def counting(fd: int, data: bytes) -> int:
        written.append(data)
        return real(fd, data)

    monkeypatch.setattr("app.monitoring.access_log.os.write", counting)
    with tempfile.TemporaryFile("w") as stream:
        log = JsonLines(stream)
        for i in range(2000):
            log.replied(finished(str(i), "/" + "x" * (i % 250)))
        assert log.flush()
    assert max(map(len, written)) <= ATOMIC_BYTES <= os.pathconf("/", "PC_PIPE_BUF")
    assert all(data.endswith(b"\n") for data in written)
    assert b"".join(written).count(b"\n") == 2000
    assert len(written) < 500
