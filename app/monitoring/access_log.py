"""The access log: one JSON line per request, written a few times a second, outside of requests."""

from __future__ import annotations

import math
import os
import select
import stat
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TextIO

import orjson
from gevent import monkey

from app.inference.messages import Observer, Reply, Route

#: Replies that may wait for a blocked output; further ones are dropped and counted.
MAX_WAITING = 100_000
#: Lines that are written between two pauses, in which requests run.
SLICE, PAUSE_SECONDS = 50, 0.0005
#: How often a full pipe is polled.
BLOCKED_SECONDS = 0.01
#: PIPE_BUF of Linux: a write up to this size is never interleaved with one of another process (pipe(7)).
ATOMIC_BYTES = 4096

#: The value of the header Server-Timing: milliseconds of each stage of a prediction.
SERVER_TIMING = ", ".join(f"{stage};dur=%.3f" for stage in ("parse", "queue", "predict", "encode"))


class AccessLog(Observer):
    """An access log that writes nothing."""

    def flush(self, seconds: float = math.inf) -> bool:
        """Write the waiting lines; return False when another call is writing.

        Raises OSError, also when the output accepts nothing for ``seconds``. Lines that could not be written
        are counted, and the next flush reports their number.
        """
        return True

    def close(self) -> None:
        """Release the output. Lines that still wait are not written."""


class JsonLines(AccessLog):
    """An access log of JSON lines on a stream."""

    def __init__(self, stream: TextIO | None = None, pause: Callable[[float], None] = time.sleep) -> None:
        """Write to ``stream``, by default to the standard output of the moment.

        ``pause`` lets other work run for a number of seconds.
        """
        self._stream = stream
        self._pause = pause
        self._waiting: deque[Reply] = deque()
        self._dropped = 0
        self._writing = False
        self._pipe: tuple[os.stat_result, int] | None = None

    def replied(self, reply: Reply) -> None:
        """Keep the reply until the next ``flush``."""
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(reply)
        else:
            self._dropped += 1

    def flush(self, seconds: float = math.inf) -> bool:
        """Write the waiting lines, a slice at a time."""
        if self._writing:
            return False
        self._writing = True
        try:
            while self._waiting:
                count = min(len(self._waiting), SLICE)
                lines = [_line(self._waiting.popleft()) for _ in range(count)]
                try:
                    self._write(lines, seconds)
                except BaseException:
                    self._dropped += len(lines)
                    raise
                if self._waiting:
                    self._pause(PAUSE_SECONDS)
            if self._dropped:
                dropped = self._dropped
                warning = {"level": "WARNING", "message": f"{dropped} lines were dropped"}
                self._write([orjson.dumps(warning, option=orjson.OPT_APPEND_NEWLINE)], seconds)
                self._dropped -= dropped
        finally:
            self._writing = False
        return True

    def close(self) -> None:
        """Close the pipe that was opened for writing."""
        if self._pipe is not None:
            os.close(self._pipe[1])
            self._pipe = None

    def _write(self, lines: Sequence[bytes], seconds: float) -> None:
        stream = self._stream or sys.stdout
        try:
            fd = stream.fileno()
        except (OSError, ValueError):  # a stream without a file descriptor
            stream.write(b"".join(lines).decode())
            return
        fd = self._unblocked(fd)
        for piece in _pieces(lines):
            waited = 0.0
            while not _try_write(fd, piece):
                if waited >= seconds:
                    raise BlockingIOError("the access log's pipe is full and not being read")
                self._pause(BLOCKED_SECONDS)
                waited += BLOCKED_SECONDS

    def _unblocked(self, fd: int) -> int:
        """Return a non-blocking descriptor of the same pipe, or ``fd`` itself when it is not a pipe.

        A write may block even right after a poll, because another worker may fill the pipe in between. ``fd``
        itself stays blocking: other processes share its file description and rely on it.
        """
        status = os.fstat(fd)
        if not stat.S_ISFIFO(status.st_mode):
            return fd
        if self._pipe is None or not os.path.samestat(self._pipe[0], status):
            self.close()
            try:
                own = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:  # another user's pipe, or no /proc
                return fd
            self._pipe = (status, own)
        return self._pipe[1]


def _try_write(fd: int, piece: bytes) -> bool:
    """Write the piece if the output accepts it without a wait; return whether it did.

    A thread that waits for the output would compete for the interpreter with the one that answers requests.
    """
    poll = monkey.get_original("select", "poll")()
    poll.register(fd, select.POLLOUT)
    if not poll.poll(0):
        return False
    try:
        os.write(fd, piece)
    except BlockingIOError:
        return False
    return True


def _pieces(lines: Sequence[bytes]) -> Iterator[bytes]:
    """Join lines to pieces that a pipe writes atomically, because other workers write to the same pipe."""
    piece: list[bytes] = []
    size = 0
    for line in lines:
        if piece and size + len(line) > ATOMIC_BYTES:
            yield b"".join(piece)
            piece, size = [], 0
        piece.append(line)
        size += len(line)
    if piece:
        yield b"".join(piece)


def _line(reply: Reply) -> bytes:
    """Return the JSON line of a reply.

    The line is formatted as text, which takes two thirds of the time that orjson takes for such an object.
    orjson formats only the text that clients control.
    """
    second, nanoseconds = divmod(reply.moment_ns, 1_000_000_000)
    timing_ms = "null"
    if reply.timing:
        # Replacing the separators of the header's value is cheaper than formatting the numbers again.
        timing_ms = '{"' + reply.timing.replace(";dur=", '":').replace(", ", ',"') + "}"
    size = "null" if reply.size_bytes is None else reply.size_bytes
    return (
        f'{{"level":"INFO","message":"request","time":"{_second(second)}.{nanoseconds // 1000:06d}+00:00",'
        f'"request_id":{_json(reply.request_id)},'
        f"{_common_members(reply.method[:16], reply.path[:256], reply.status, reply.route)},"
        f'"duration_ms":{reply.seconds * 1000:.3f},"timing_ms":{timing_ms},"bytes":{size}}}\n'
    ).encode()


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


@lru_cache(maxsize=4)
def _second(moment: int) -> str:
    """Return seconds since the epoch as UTC text (RFC 3339), without a fraction and an offset."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=1024)
def _common_members(method: str, path: str, status: int, route: Route | None) -> str:
    """Return the members that many lines have in common, as JSON text without braces."""
    members = {
        "method": method,
        "path": path,
        "status": status,
        "model": route.target.name if route else None,
        "version": str(route.target.number) if route else None,
        **({"arm": route.arm} if route and route.arm else {}),
    }
    return _json(members)[1:-1]
