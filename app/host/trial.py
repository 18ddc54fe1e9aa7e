"""The trial of a version: a load in a subprocess, which may crash or hang.

A version is tried before it is served for the first time and, more strictly, before the parent process loads
it for all workers. The subprocess (``main`` below) loads one version after the other, replays its golden rows
and prints a line about each. If it ends or falls silent, the version under test is to blame, and another
subprocess continues with the next one.
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

#: How long the subprocess may take to start Python and import the libraries.
START_SECONDS = 60.0
POLL_SECONDS = 0.02
#: How often the subprocess shows that a load leaves time to its other threads.
BEAT_SECONDS = 0.1
#: The niceness of a trial for serving, so that request handling preempts it.
NICENESS = 10
PR_SET_PDEATHSIG = 1
#: The niceness is set before the imports, which are most of the work.
START = "import os; os.nice({niceness}); from app.host import trial; trial.main()"

Purpose = Literal["sharing", "serving"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of one version's trial."""

    target: Version
    #: Why the version must not be shared or served; empty for a version that passed.
    reason: str = ""
    #: Whether the version ended the subprocess or exceeded a time limit.
    fatal: bool = False
    #: How much memory the load took.
    mib: float = field(default=0.0, compare=False)


class TrialEnded(Exception):
    """The subprocess ended or exceeded a time limit. The message says which, as a predicate of the load."""


def try_out(
    store: Store,
    targets: Sequence[Version],
    seconds: float,
    give_up: Callable[[], bool] = lambda: False,
    purpose: Purpose = "sharing",
    stall_seconds: float = math.inf,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[Verdict]:
    """Yield a verdict on each version, in their order, unless the subprocess cannot be started.

    ``seconds`` limits the load and the replay of one version. ``stall_seconds`` limits how long a load may
    keep the other threads of its process from running; it applies to trials for serving. ``give_up`` is
    called now and then, and ends the trial by returning True. ``pause`` sleeps for some seconds.
    """
    remaining = list(targets)
    while remaining and not give_up():
        try:
            started = Process(store, remaining, give_up, purpose, pause)
        except OSError as error:
            log.error("versions cannot be tried for %s: %s", purpose, error)
            return
        with started as process:
            try:
                threads = process.read_line(START_SECONDS)["threads"]
                if threads != 1 and purpose == "sharing":
                    raise TrialEnded(
                        f"the libraries start threads when they are imported ({threads} are running): "
                        f"leave OMP_NUM_THREADS, OPENBLAS_NUM_THREADS and MKL_NUM_THREADS at 1"
                    )
            except TrialEnded as end:
                log.error("versions cannot be tried for %s: %s", purpose, end)
                return
            while remaining:
                try:
                    verdict = Verdict(remaining[0], **process.read_line(seconds, stall_seconds))
                except TrialEnded as end:
                    if give_up():
                        return
                    verdict = Verdict(remaining[0], f"loading it {end}", fatal=True)
                yield verdict
                del remaining[0]
                if verdict.fatal:
                    break


class Process:
    """A subprocess that tries versions. Leaving the context kills it."""

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
        task = {
            "parent": os.getpid(),
            "purpose": purpose,
            "store": str(store.path.absolute()),
            "key": None if store.key is None else store.key.hex(),
            "versions": [[target.name, target.number] for target in targets],
        }
        # A fresh interpreter shares nothing with the parent, and may start any threads.
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
            stdin.write(json.dumps(task).encode() + b"\n")

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):  # the group includes processes that the model started
            os.killpg(self._process.pid, signal.SIGKILL)
        while self._process.poll() is None:
            self._pause(POLL_SECONDS)
        self._out.close()

    def read_line(self, seconds: float, stall_seconds: float = math.inf) -> Any:
        """Wait for the next line and return its JSON value.

        Empty lines are heartbeats, of which one must come within ``stall_seconds``. Raises TrialEnded.
        """
        now = time.monotonic()
        deadline, beat_by = now + seconds, now + stall_seconds
        while True:
            line, ended, rest = self._unread.partition(b"\n")
            if line and ended:
                self._unread = rest
                return json.loads(line)
            if ended:
                self._unread, beat_by = rest, time.monotonic() + stall_seconds
                continue
            if self._give_up():
                raise TrialEnded("was cancelled")
            if time.monotonic() > deadline:
                raise TrialEnded(f"took longer than {seconds:g} seconds")
            if time.monotonic() > beat_by:
                raise TrialEnded(
                    f"blocked everything else in its process for longer than {stall_seconds:g} seconds, "
                    f"and a worker that is blocked too long is replaced (PLUMBLINE_WORKER_TIMEOUT_SECONDS)"
                )
            if not is_ready(self._out.fileno(), select.POLLIN):
                self._pause(POLL_SECONDS)
                continue
            data = os.read(self._out.fileno(), 65536)
            if not data:
                raise TrialEnded(f"ended its process ({self._end()})")
            self._unread += data

    def _end(self) -> str:
        deadline = time.monotonic() + 1
        while (code := self._process.poll()) is None:
            if time.monotonic() > deadline:  # the process lives on without its output
                return "it closed its output"
            self._pause(POLL_SECONDS)
        return f"exit status {code}" if code >= 0 else f"signal {-code}"


def main() -> None:
    """Run in the subprocess: read a task from standard input, and print the results as lines of JSON."""
    task = json.loads(sys.stdin.buffer.readline())
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != task["parent"]:
        return
    with suppress(OSError):  # when memory runs out, the kernel kills this process and not a worker
        Path("/proc/self/oom_score_adj").write_text("1000")
    # Text that a model prints while it loads must not be taken for a result.
    with os.fdopen(os.dup(1), "w") as results:
        os.dup2(2, 1)
        sys.stdout = Talk(sys.stderr)
        store = Store(task["store"], key=task["key"] and bytes.fromhex(task["key"]))
        for row in FRAMEWORKS.values():
            if row.shareable:
                with suppress(ImportError):
                    row.imported()
        print(json.dumps({"threads": native_threads()}), file=results, flush=True)
        if task["purpose"] == "serving":  # a trial for sharing must have one thread
            threading.Thread(target=_beat, args=(results.fileno(),), daemon=True).start()
        for name, version in task["versions"]:
            before = resident_bytes() / 2**20
            reason = reason_against(store, name, version, task["purpose"])
            # The peak, because the model has been freed again.
            result = {"reason": reason, "mib": round(_peak_resident_mib() - before, 1)}
            print(json.dumps(result), file=results, flush=True)


def _beat(descriptor: int) -> None:
    with suppress(OSError):  # the descriptor is closed when the trial is over
        while True:
            os.write(descriptor, b"\n")
            time.sleep(BEAT_SECONDS)


def reason_against(store: Store, name: str, version: int, purpose: Purpose = "sharing") -> str:
    """Load the version, replay its golden rows, and return why it must not be shared or served.

    The reason is empty for a version that passed.
    """
    try:
        _LOAD[purpose](store.get(name, version))
        return ""
    except LoadError as error:
        if purpose == "serving":
            # Clients may read the reason; messages of foreign code go to the log only.
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


#: Purpose -> function that loads a version for it, and raises PlumblineError if the version is unfit.
_LOAD: dict[Purpose, Callable[[Record], object]] = {
    "sharing": try_shareable,
    "serving": _load_for_serving,
}


def _peak_resident_mib() -> float:
    """Return the highest value that ``resident_bytes`` has had (proc_pid_status(5)), in MiB."""
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / 1024
    except (OSError, ValueError, KeyError, IndexError):
        return resident_bytes() / 2**20
