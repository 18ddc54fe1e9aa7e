"""What is noted by requests is written beside them, whatever happens to the output."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from app.config import Settings
from app.monitoring.access_log import ATOMIC_BYTES, Finished, JsonLines
from app.wiring import wire
from tests.conftest import wait_until


def finished(name: str, path: str = "/") -> Finished:
    return Finished(time.time(), 0.001, name, "GET", path, 200, None, None, 0)


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
            services.access_log.add(finished(str(i)))
            time.sleep(0.01)
        wait_until(lambda: '"99"' in stream.getvalue())
    finally:
        services.close()
    assert stream.failures == 0


def test_the_last_lines_are_written_when_a_write_is_under_way(tmp_path: Path) -> None:
    release = threading.Event()

    def slowly(write: Callable[[], None]) -> None:
        release.wait(5)
        write()

    services = wire(Settings(store=tmp_path))
    stream = io.StringIO()
    services.access_log = JsonLines(stream, slowly)
    services.start()
    services.access_log.add(finished("first"))
    time.sleep(0.3)
    services.access_log.add(finished("last"))
    threading.Timer(0.2, release.set).start()
    services.close()
    assert '"first"' in stream.getvalue() and '"last"' in stream.getvalue()


def test_lines_of_several_workers_are_not_mixed_in_a_pipe() -> None:
    """Whole lines, in writes that a pipe takes at once."""
    written: list[int] = []

    class Counting(io.StringIO):
        def write(self, text: str) -> int:
            written.append(len(text.encode()))
            assert text.endswith("\n")
            return super().write(text)

    log = JsonLines(Counting())
    for i in range(2000):
        log.add(finished(str(i), "/" + "x" * (i % 250)))
    assert log.flush()
    assert max(written) <= ATOMIC_BYTES <= os.pathconf("/", "PC_PIPE_BUF")
    assert len(written) < 500
