"""Whether a version can be loaded without harm: found out in a process of its own, which may crash or hang.

Asked before it is served for the first time, and, more strictly, before the parent process loads it for all workers. The
process (``main`` below) loads one version after the other, replays its golden rows and says a line
about each. If it ends or falls silent, the version at hand is to blame, and another process goes on with the next.
"""

from __future__ import annotations

import ctypes
import json
import logging
import math
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from app.concurrency.polling import is_ready
from app.host.memory import resident_bytes
from models.errors import LoadError, PlumblineError
from models.names import Version
from models.record import Record
from models.runtimes.frameworks import FRAMEWORKS
from models.runtimes.loading import load_each_form
from models.runtimes.shareable import native_threads, try_shareable
from models.store import Store
from models.talk import Talk

log = logging.getLogger("plumbline.serving")

#: How long Python and the libraries may take to be imported.
START_SECONDS = 60.0
POLL_SECONDS = 0.02
#: How often the process shows that something can run in it beside what loads.
BEAT_SECONDS = 0.1
#: Of a process that proves a version while a server answers: it takes what is left of a processor.
NICENESS = 10
PR_SET_PDEATHSIG = 1
#: Stepping back comes first: importing the libraries is most of the work.
START = "import os; os.nice({niceness}); from app.host import trial; trial.main()"


Purpose = Literal["sharing", "serving"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """``why`` is empty for a version that passed. ``fatal`` : it ended the process, or went on for too long. ``mib`` : by how
    much the process grew with it."""

    target: Version
    why: str = ""
    fatal: bool = False
    mib: float = field(default=0.0, compare=False)


class Silence(Exception):
    """The process said nothing in time, or will say nothing more; the message says what became of it."""


def try_out(
    store: Store,
    targets: Sequence[Version],
    seconds: float,
    give_up: Callable[[], bool] = lambda: False,
    purpose: Purpose = "sharing",
    stall_seconds: float = math.inf,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[Verdict]:
    """A verdict on each version, in their order; on none when the process cannot be started or ``give_up`` says so.

    ``seconds`` : how long loading one version and replaying its golden rows may take; ``stall_seconds`` : how long that may
    keep everything else in the process from running, where it is tried for serving. ``pause`` lets everybody else go on.
    """
    left = list(targets)
    while left and not give_up():
        try:
            started = Process(store, left, give_up, purpose, pause)
        except OSError as error:
            log.error("no version can be tried out for %s: %s", purpose, error)
            return
        with started as process:
            try:
                threads = process.line(START_SECONDS)["threads"]
                if threads != 1 and purpose == "sharing":
                    raise Silence(
                        f"the libraries start threads when they are imported ({threads} found): "
                        f"leave OMP_NUM_THREADS, OPENBLAS_NUM_THREADS and MKL_NUM_THREADS at 1"
                    )
            except Silence as reason:
                log.error("no version can be tried out for %s: %s", purpose, reason)
                return
            while left:
                try:
                    verdict = Verdict(left[0], **process.line(seconds, stall_seconds))
                except Silence as reason:
                    if give_up():
                        return
                    verdict = Verdict(left[0], f"loading it {reason}", fatal=True)
                yield verdict
                del left[0]
                if verdict.fatal:
                    break


class Process:
    """One process that tries versions; leaving the context ends it."""

    def __init__(
        self,
        store: Store,
        targets: Sequence[Version],
        give_up: Callable[[], bool],
        purpose: Purpose,
        pause: Callable[[float], None],
    ) -> None:
        self._give_up = give_up
        self._pause = pause
        self._unread = b""
        asked = {
            "parent": os.getpid(),
            "purpose": purpose,
            "store": str(store.path.absolute()),
            "key": None if store.key is None else store.key.hex(),
            "versions": [[target.name, target.number] for target in targets],
        }
        # A fresh interpreter: nothing of the parent is in it, and it may start whatever threads it likes.
        self._process = subprocess.Popen(
            [sys.executable, "-c", START.format(niceness=NICENESS if purpose == "serving" else 0)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={
                **{name: value for name, value in os.environ.items() if name != "PLUMBLINE_ADMIN_TOKEN"},
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            },
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._out = self._process.stdout
        with suppress(BrokenPipeError), self._process.stdin as stdin:
            stdin.write(json.dumps(asked).encode() + b"\n")

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):  # with what the model may have started
            os.killpg(self._process.pid, signal.SIGKILL)
        while self._process.poll() is None:
            self._pause(POLL_SECONDS)
        self._out.close()

    def line(self, seconds: float, stall_seconds: float = math.inf) -> Any:
        """The next thing that the process says, or shows by an empty line that it could; raises Silence."""
        now = time.monotonic()
        deadline, shown_by = now + seconds, now + stall_seconds
        while True:
            line, ended, rest = self._unread.partition(b"\n")
            if line and ended:
                self._unread = rest
                return json.loads(line)
            if ended:
                self._unread, shown_by = rest, time.monotonic() + stall_seconds
                continue
            if self._give_up():
                raise Silence("was given up")
            if time.monotonic() > deadline:
                raise Silence(f"took longer than {seconds:g} seconds")
            if time.monotonic() > shown_by:
                raise Silence(
                    f"held up everything else in its process for longer than {stall_seconds:g} seconds, "
                    f"and a worker that is held up too long is replaced (PLUMBLINE_WORKER_TIMEOUT_SECONDS)"
                )
            if not is_ready(self._out.fileno(), select.POLLIN):
                self._pause(POLL_SECONDS)
                continue
            data = os.read(self._out.fileno(), 65536)
            if not data:
                raise Silence(f"ended its process ({self._end()})")
            self._unread += data

    def _end(self) -> str:
        deadline = time.monotonic() + 1
        while (code := self._process.poll()) is None:
            if time.monotonic() > deadline:  # it closed its output and lives on
                return "it closed its output"
            self._pause(POLL_SECONDS)
        return f"exit status {code}" if code >= 0 else f"signal {-code}"


def main() -> None:
    """In the process itself: read what is asked from standard input, answer in lines of JSON."""
    asked = json.loads(sys.stdin.buffer.readline())
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != asked["parent"]:
        return
    with suppress(OSError):  # where memory runs out this process goes, and no worker
        Path("/proc/self/oom_score_adj").write_text("1000")
    # What a model prints while it loads must not be taken for an answer.
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        sys.stdout = Talk(sys.stderr)
        store = Store(asked["store"], key=asked["key"] and bytes.fromhex(asked["key"]))
        for row in FRAMEWORKS.values():
            if row.shareable:
                with suppress(ImportError):
                    row.imported()
        print(json.dumps({"threads": native_threads()}), file=answers, flush=True)
        if asked["purpose"] == "serving":  # a process that tries for sharing has no other thread
            threading.Thread(target=_beat, args=(answers.fileno(),), daemon=True).start()
        for name, version in asked["versions"]:
            before = resident_bytes() / 2**20
            why = why_not(store, name, version, asked["purpose"])
            # The most that it took: by now the model is freed.
            said = {"why": why, "mib": round(_most_resident_mib() - before, 1)}
            print(json.dumps(said), file=answers, flush=True)


def _beat(descriptor: int) -> None:
    with suppress(OSError):  # closed at the end
        while True:
            os.write(descriptor, b"\n")
            time.sleep(BEAT_SECONDS)


def why_not(store: Store, name: str, version: int, purpose: Purpose = "sharing") -> str:
    """Load the version and replay its golden rows; why it is not to be shared or served, or nothing."""
    try:
        _LOAD[purpose](store.get(name, version))
        return ""
    except LoadError as error:
        if purpose == "serving":
            # Clients may read it; what other code said is for whoever reads this process's output.
            print(error.in_full, file=sys.stderr, flush=True)
            return str(error)
        return error.in_full
    except PlumblineError as error:
        return str(error)
    except (Exception, SystemExit) as error:  # foreign code
        return f"{type(error).__name__} while loading"


def _load_for_serving(record: Record) -> None:
    for _ in load_each_form(record):
        pass


#: Purpose -> what loads a version for it and raises PlumblineError if it must not be.
_LOAD: dict[Purpose, Callable[[Record], object]] = {
    "sharing": try_shareable,
    "serving": _load_for_serving,
}


def _most_resident_mib() -> float:
    """The highest that ``resident_bytes`` was (proc_pid_status(5))."""
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / 1024
    except (OSError, ValueError, KeyError, IndexError):
        return resident_bytes() / 2**20
