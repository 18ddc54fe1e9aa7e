"""A process that changes a store, for tests that kill it or run several of it at once.

    python -m tests.models.publisher STORE TEMPLATE UNIT KILL_AT STEP ..   (see ``publisher``)
    python -m tests.models.publisher        forks such a process for each line of its input (see ``Publishers``)

It kills itself after the file operation KILL_AT of the store, or, if UNIT is ``call``, before the call
KILL_AT to the operating system that changes a disk. With KILL_AT 0 it survives, and prints how many there
were, and then the calls that were made outside of the store's file operations.

STEP is ``publish`` or ``publish=TAG`` (the version toy:1 of the store TEMPLATE again), ``measure`` (from a
model in memory), ``tag=TAG``, ``delete`` (the latest version), ``delete_model``, ``promote`` (the latest),
``rollback``, ``traffic`` (a tenth to the latest), or ``forever`` (all up to ``delete_model``, over and over).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from models.errors import VersionNotFound
from models.publishing import publish
from models.store import Store
from models.store.files import Files
from models.store.lifecycle import promote, rollback, set_traffic
from models.threads import ONE_THREAD
from models.traffic import Arm, Rule

ROOT = Path(__file__).parents[2]
OPERATIONS = [name for name, value in vars(Files).items() if callable(value) and not name.startswith("_")]
CHANGING = {
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.truncate",
    "os.link",
    "os.symlink",
    "os.chmod",
}


class Mortal(Files):
    """File operations that are counted, and kill the process at a given count."""

    def __init__(self, store: str, unit: str, kill_at: int) -> None:
        self.store, self.unit, self.kill_at = store, unit, kill_at
        self.counted = self.inside = 0
        self.beside: list[str] = []

    def count(self, unit: str) -> None:
        if unit == self.unit:
            self.counted += 1
            if self.counted == self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        """Count the calls of this process to the operating system (PEP 578)."""
        opened_to_write = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
        here = self.inside or str(args[0]).startswith(self.store)
        if here and (event in CHANGING or opened_to_write):
            self.count("call")
            if not self.inside:
                self.beside.append(f"{event} {args[0]}")

    @contextmanager
    def locked(self, path: Path, *, wait: bool = True) -> Iterator[bool]:
        self.inside += 1
        with super().locked(path, wait=wait) as held:
            self.inside -= 1
            self.count("operation")
            yield held


def _counted(name: str) -> Callable[..., None]:
    def operation(self: Mortal, *args: Any) -> None:
        self.inside += 1
        getattr(Files, name)(self, *args)
        self.inside -= 1
        self.count("operation")

    return operation


for _name in OPERATIONS:
    if _name not in vars(Mortal):
        setattr(Mortal, _name, _counted(_name))


def publisher(
    store: Store, template: Store, *steps: str, unit: str = "operation", kill_at: int = 0
) -> subprocess.Popen[str]:
    """Start the process."""
    command = [sys.executable, "-m", "tests.models.publisher", str(store.path), str(template.path)]
    arguments = [*command, unit, str(kill_at), *steps]
    return subprocess.Popen(arguments, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


class Publishers:
    """Processes that make one change each, forked from an interpreter that has imported everything.

    ``close`` stops the interpreter.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.models.publisher"],
            cwd=ROOT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **ONE_THREAD},
        )

    def change(
        self, store: Store, template: Store, step: str, unit: str, kill_at: int = 0
    ) -> tuple[int, str]:
        """How such a process ended (0, or the negative number of a signal), and what it printed."""
        assert self._process.stdin is not None and self._process.stdout is not None
        arguments = [str(store.path), str(template.path), unit, str(kill_at), step]
        self._process.stdin.write(f"{json.dumps(arguments)}\n")
        self._process.stdin.flush()
        code, printed = json.loads(self._process.stdout.readline())
        return code, printed

    def close(self) -> None:
        """Stop the interpreter."""
        self._process.communicate()


def fork_for_each_line() -> None:
    """Fork for each line of standard input, and answer with a line. It runs in the interpreter of
    ``Publishers``.
    """
    for line in sys.stdin:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            os.dup2(writing, 1)
            os.dup2(writing, 2)
            try:
                change(*json.loads(line))
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(code)
        os.close(writing)
        with open(reading) as output:
            printed = output.read()
        _, status = os.waitpid(child, 0)
        print(json.dumps([os.waitstatus_to_exitcode(status), printed]), flush=True)


def run(store: Store, template: Store, step: str) -> None:
    """Make one change of the model toy."""
    verb, _, tag = step.partition("=")
    if verb == "publish":
        whole = template.get("toy", 1)
        files = {path: whole.read(path) for path in whole.manifest.files}
        store.add(whole.manifest, files, tags=[tag] if tag else [])
    elif verb == "measure":
        from tests.toys import Summing  # needs NumPy, which the others do without

        publish(store, "toy", Summing(), [[1.0, 2.0]])
    elif verb == "tag":
        store.tag("toy", store.resolve("toy"), tag)
    elif verb == "delete":
        with suppress(VersionNotFound):  # another process may have deleted it just now
            store.delete("toy", store.resolve("toy", "latest"))
    elif verb == "delete_model":
        store.delete_model("toy")
    elif verb == "promote":
        promote(store, "toy", store.resolve("toy", "latest"))
    elif verb == "rollback":
        rollback(store, "toy")
    elif verb == "traffic":
        set_traffic(store, "toy", Rule((Arm(store.resolve("toy", "latest"), 10.0),)))
    else:
        forever(store, template)


def forever(store: Store, template: Store) -> None:
    """Publish twice, tag and delete until the process is killed; every fifth time, delete the model too."""
    print("ready", flush=True)
    for i in count():
        for step in ("publish=newest", "publish", f"tag=round-{i % 10}", "delete"):
            run(store, template, step)
        if i % 5 == 4:
            run(store, template, "delete_model")


def change(path: str, template_path: str, unit: str, kill_at: str, *steps: str) -> None:
    """Make the changes in this process, and print how many operations there were."""
    files = Mortal(path, unit, int(kill_at))
    if unit == "call":
        sys.addaudithook(files.hook)
    for step in steps:
        run(Store(path, files=files), Store(template_path), step)
    print(files.counted, *files.beside, sep="\n")


if __name__ == "__main__":
    if sys.argv[1:]:
        change(*sys.argv[1:])
    else:
        fork_for_each_line()
