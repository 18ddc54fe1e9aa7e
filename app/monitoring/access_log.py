"""The access log: one JSON line for each request, written a few times a second, never while a request waits for it."""

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

#: So many lines may wait for an output that takes none; what comes then is counted instead.
MAX_WAITING = 100_000
#: Between two slices of so many lines requests have their turn.
SLICE, PAUSE_SECONDS = 50, 0.0005
#: How often a full pipe is looked at again.
BLOCKED_SECONDS = 0.01
#: PIPE_BUF of Linux: a write up to this size is never mixed with another process's (pipe(7)).
ATOMIC_BYTES = 4096


#: What a prediction's time is spent on, in milliseconds, as the header Server-Timing says it.
SERVER_TIMING = ", ".join(f"{stage};dur=%.3f" for stage in ("parse", "queue", "predict", "encode"))


class AccessLog(Observer):
    """Where replies are written. This one writes nothing."""

    def flush(self, seconds: float = math.inf) -> bool:
        """Write what was kept; False when another call is writing.

        Raises OSError, also when the output took nothing for ``seconds``; lines that could not be written are counted,
        and the next flush reports their number.
        """
        return True

    def close(self) -> None:
        """Give back what writing took; what is kept is not written any more."""


class JsonLines(AccessLog):
    """Lines on ``stream``; without one on what is standard output at the time."""

    def __init__(self, stream: TextIO | None = None, pause: Callable[[float], None] = time.sleep) -> None:
        """``pause`` lets everybody else go on for so many seconds."""
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
        """Write the lines that were kept, a slice at a time."""
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
                told = {"level": "WARNING", "message": f"{dropped} lines were dropped"}
                self._write([orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE)], seconds)
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
        except (OSError, ValueError):  # not a file of the system's
            stream.write(b"".join(lines).decode())
            return
        fd = self._unblocked(fd)
        for piece in _together(lines):
            waited = 0.0
            while not _written(fd, piece):
                if waited >= seconds:
                    raise BlockingIOError("nobody reads the access log")
                self._pause(BLOCKED_SECONDS)
                waited += BLOCKED_SECONDS

    def _unblocked(self, fd: int) -> int:
        """The same pipe as another open file that never waits: between a look and a write another worker may fill it, and
        the descriptor itself is shared with processes that count on its waiting. Anything but a pipe is taken as it is."""
        found = os.fstat(fd)
        if not stat.S_ISFIFO(found.st_mode):
            return fd
        if self._pipe is None or not os.path.samestat(self._pipe[0], found):
            self.close()
            try:
                own = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:  # somebody else's pipe, or no /proc
                return fd
            self._pipe = (found, own)
        return self._pipe[1]


def _written(fd: int, piece: bytes) -> bool:
    """Whether the output took the piece, without a wait. So no thread is needed, which would have to fight for the
    interpreter with the one that answers requests."""
    poll = monkey.get_original("select", "poll")()
    poll.register(fd, select.POLLOUT)
    if not poll.poll(0):
        return False
    try:
        os.write(fd, piece)
    except BlockingIOError:
        return False
    return True


def _together(lines: Sequence[bytes]) -> Iterator[bytes]:
    """Whole lines in pieces that a pipe takes at once: other workers write to the same one."""
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


def _line(request: Reply) -> bytes:
    """As text, because orjson takes half as long again with an object of this size; it writes the client's own texts."""
    second, nanoseconds = divmod(request.moment_ns, 1_000_000_000)
    timing_ms = "null"
    if request.timing:
        # Numbers are written once, for the header: that takes longer than to change what stands around them.
        timing_ms = '{"' + request.timing.replace(";dur=", '":').replace(", ", ',"') + "}"
    return (
        f'{{"level":"INFO","message":"request","time":"{_second(second)}.{nanoseconds // 1000:06d}+00:00",'
        f'"request_id":{_json(request.request_id)},'
        f"{_what(request.method[:16], request.path[:256], request.status, request.route)},"
        f'"duration_ms":{request.seconds * 1000:.3f},"timing_ms":{timing_ms},"bytes":{"null" if request.size_bytes is None else request.size_bytes}}}\n'
    ).encode()


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


@lru_cache(maxsize=4)
def _second(moment: int) -> str:
    """In UTC (RFC 3339), without what follows the seconds."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=1024)
def _what(method: str, path: str, status: int, route: Route | None) -> str:
    """What most requests of a while have in common."""
    said = {
        "method": method,
        "path": path,
        "status": status,
        "model": route.target.name if route else None,
        "version": str(route.target.number) if route else None,
        **({"arm": route.arm} if route and route.arm else {}),
    }
    return _json(said)[1:-1]
