"""The access log on outputs that fail, fill up, or are shared with other workers."""

from __future__ import annotations

import contextlib
import io
import os
import threading
import time

import orjson
import pytest

from app.inference.messages import Reply
from app.monitoring.access_log import JsonLines
from tests.conftest import LONG_SECONDS


def finished(name: str) -> Reply:
    return Reply(time.time_ns(), 0.001, name, "GET", "/", 200, None, "", 0)


class FullOnce(io.StringIO):
    """A stream whose first write fails."""

    failed = False

    def write(self, text: str) -> int:
        if not self.failed:
            self.failed = True
            raise OSError(28, "No space left on device")
        return super().write(text)


def test_lines_that_could_not_be_written_are_counted() -> None:
    stream = FullOnce()
    log = JsonLines(stream)
    for i in range(7):
        log.replied(finished(str(i)))
    with pytest.raises(OSError, match="No space"):
        log.flush()
    log.replied(finished("later"))
    assert log.flush()
    lines = [orjson.loads(line) for line in stream.getvalue().splitlines()]
    assert [line.get("request_id") or line["message"] for line in lines] == ["later", "7 lines were dropped"]


def test_a_last_flush_does_not_wait_for_ever_for_a_reader() -> None:
    read, write = os.pipe()
    fill(write)
    with os.fdopen(read, "rb"), os.fdopen(write, "w") as stream:
        log = JsonLines(stream)
        log.replied(finished("kept"))
        began = time.monotonic()
        with pytest.raises(BlockingIOError):
            log.flush(0.1)
        assert time.monotonic() - began < LONG_SECONDS
        log.close()


def test_a_pipe_that_another_worker_fills_between_look_and_write_stops_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read, write = os.pipe()
    fill(write)
    with os.fdopen(read, "rb") as reader, os.fdopen(write, "w") as stream:
        log = JsonLines(stream)
        log.replied(finished("kept"))

        class AlwaysReady:
            def register(self, *_: object) -> None:
                pass

            def poll(self, _: int) -> bool:
                return True

        monkeypatch.setattr("app.monitoring.access_log.monkey.get_original", lambda *_: AlwaysReady)
        with pytest.raises(BlockingIOError):
            log.flush(0.05)
        assert os.get_blocking(stream.fileno()), "others who write there count on waiting"
        drained = threading.Thread(target=lambda: reader.read(1_000_000))
        drained.start()
        log.replied(finished("after"))
        log.flush(5)
        log.close()
        stream.close()
        drained.join(LONG_SECONDS)


def fill(descriptor: int) -> None:
    """Write until the pipe is full."""
    os.set_blocking(descriptor, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(descriptor, b"\n" * 4096)
    os.set_blocking(descriptor, True)
