"""The mutable part of a store: state, history and generation, each changed under one lock.

This module does not touch the files of a version.
"""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from models.errors import ArtifactDamaged
from models.store.files import Files, is_locked, read_if_there

HISTORY = "history.jsonl"
MOST_DIGITS = 18


@dataclass(frozen=True, slots=True)
class State:
    """The state of one model."""

    #: The largest version number ever assigned.
    highest: int = 0
    #: Name -> version number. Only operations set an alias.
    aliases: dict[str, int] = field(default_factory=dict)
    tags: dict[str, int] = field(default_factory=dict)
    #: The traffic rule as JSON data.
    traffic: Mapping[str, Any] | None = None
    #: The versions that were stable before, the latest last. A rollback removes that one.
    previous: list[int] = field(default_factory=list)
    #: The history's line about the change that made this state. If the process dies before the line is in the
    #: history, the next change writes it.
    last: Mapping[str, Any] | None = None

    def selectors(self, latest: int) -> dict[str, int]:
        """Return every selector but numbers, with the version that it names: tags, aliases and ``latest``.

        ``latest`` names the version that is given.
        """
        return {**self.tags, **self.aliases, "latest": latest}


def held_by(state: State, version: int) -> list[str]:
    """Return the parts of the state that name the version, which therefore cannot be deleted."""
    held = [alias for alias, number in state.aliases.items() if number == version]
    rule = state.traffic or {}
    named = any(part["version"] == version for part in (*rule.get("arms", ()), *rule.get("matches", ())))
    return held + ["in the traffic rule"] * named


class Registry:
    """The state, history and generation of a store's models. Reading needs no lock."""

    def __init__(self, path: Path, files: Files) -> None:
        self._path = path
        self._files = files

    def generation(self) -> str:
        """Return a number, as text, that grows when the store begins to change; "0" if it cannot be read."""
        raw = read_if_there(self._path / "generation") or b"0"
        text = raw.decode("ascii", "replace").strip()
        return text if text.isdecimal() and len(text) <= MOST_DIGITS else "0"

    def at_rest(self) -> bool:
        """Return whether no change is in progress."""
        return not is_locked(self._path / "lock")

    def state(self, name: str) -> State:
        """Return the stored state of a model, empty if it has none; raises ArtifactDamaged."""
        raw = read_if_there(self._path / name / "state.json")
        if raw is None:
            return State()
        try:
            state = State(**orjson.loads(raw))
            numbers = (state.highest, *state.aliases.values(), *state.tags.values(), *state.previous)
            if not {type(n) for n in numbers} <= {int}:
                raise ValueError("a version that is not a number")
            return state
        except (ValueError, TypeError, AttributeError) as error:
            raise ArtifactDamaged(
                f"{name}/state.json is damaged; restore it (history.jsonl next to it lists what was set)"
            ) from error

    def history(self, name: str) -> list[dict[str, Any]]:
        """Return the recorded changes of a model, oldest first, without lines that a crash cut short."""
        written = (read_if_there(self._path / name / HISTORY) or b"").splitlines()
        changes = []
        for line in [*written, *self._unwritten(name)]:
            try:
                changes.append(orjson.loads(line))
            except orjson.JSONDecodeError:
                continue
        return changes

    @contextmanager
    def change(self, name: str) -> Iterator[Change]:
        """Hold the store's lock for one change of one model."""
        with self._locked():
            yield Change(self, name)

    def touch(self) -> str:
        """Increase the generation without a change, and return it."""
        with self._locked():
            return self._next_generation()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._files.make_dir(self._path)
        with self._files.locked(self._path / "lock"):
            yield

    def _next_generation(self) -> str:
        """Increase the generation under the lock, and return it.

        If the last generation is lost, the next one is larger all the same: a worker that serves an earlier
        generation must not be taken for one that serves this one.
        """
        number = max(int(self.generation()) + 1, time.time_ns() // 1000)
        self._files.replace(self._path / "generation", str(number).encode())
        return str(number)

    def _unwritten(self, name: str) -> list[bytes]:
        """Return the line of the last change if its process died before it was in the history; at most one
        line.
        """
        with suppress(ArtifactDamaged):  # the state is damaged; the history can still be read
            if (last := self.state(name).last) is not None:
                line = orjson.dumps(last)
                return [line] if line not in (read_if_there(self._path / name / HISTORY) or b"") else []
        return []

    def _add_to_history(self, name: str, line: bytes) -> None:
        self._files.append_line(self._path / name / HISTORY, line)

    def _set_state(self, name: str, state: State) -> None:
        data = orjson.dumps(asdict(state), option=orjson.OPT_INDENT_2)
        self._files.replace(self._path / name / "state.json", data)


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one model, made under the store's lock.

    The generation grows first. A reader that sees the new one waits until the lock is free, and then reads
    the finished change, or what a process that died on the way left behind. If the generation grew last, no
    reader would notice the latter.
    """

    registry: Registry
    name: str

    def begin(self) -> str:
        """Increase the generation, and return it. It is called before anything is changed."""
        for line in self.registry._unwritten(self.name):
            self.registry._add_to_history(self.name, line)
        return self.registry._next_generation()

    def set_state(self, state: State) -> None:
        """Replace the model's state in one step."""
        self.registry._set_state(self.name, state)

    def commit(self, state: State, what: str, *, who: str = "", **details: Any) -> None:
        """Replace the state and add the change to the history, which contains it from then on.

        ``who`` is the user of this process by default.
        """
        when = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        details_given = {key: value for key, value in details.items() if value not in (None, "", [])}
        line = {"when": when, "who": who or _who(), "what": what, **details_given}
        self.set_state(replace(state, last=line))
        with suppress(OSError):  # a full disk: the state has the line, and the next change writes it first
            self.registry._add_to_history(self.name, orjson.dumps(line))


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a numeric user without a name, as in a container
        return str(os.getuid())
