"""A process that changes a store, for tests that kill it or run several of it at once.

    python -m tests.models.publisher STORE TEMPLATE UNIT KILL_AT STEP ..    (see ``publisher``)

It kills itself after the file operation KILL_AT of the store, or, when UNIT is ``call``, before the call KILL_AT to
the operating system that changes a disk. With KILL_AT 0 it lives, prints how many there were, and then the calls that
were made beside the store's file operations.

STEP is ``publish`` or ``publish=TAG`` (the version toy:1 of the store TEMPLATE again), ``measure`` (from a model in
memory), ``tag=TAG``, ``delete`` (the latest version), ``delete_model``, ``promote`` (the latest), ``rollback``, ``traffic`` (a
tenth to the latest), or ``forever`` (all up to ``delete_model``, over and over).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
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
    """Counts, and kills the process at a given count."""

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
        """Sees every call of this process to the operating system (PEP 578)."""
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
    """Publish twice, tag and delete until killed; every fifth time delete the model too."""
    print("ready", flush=True)
    for i in count():
        for step in ("publish=newest", "publish", f"tag=round-{i % 10}", "delete"):
            run(store, template, step)
        if i % 5 == 4:
            run(store, template, "delete_model")


if __name__ == "__main__":
    _, path, template_path, unit_, kill_at_, *steps = sys.argv
    files = Mortal(path, unit_, int(kill_at_))
    if unit_ == "call":
        sys.addaudithook(files.hook)
    for step_ in steps:
        run(Store(path, files=files), Store(template_path), step_)
    print(files.counted, *files.beside, sep="\n")
