"""What may change about a store's models: state, history and generation, each change under one lock.

No file of a version is read or written here.
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
    """The state of one model.

    highest: the largest version number ever given.
    aliases, tags: names of version numbers; only operations set an alias.
    traffic: the traffic rule as JSON data.
    previous: the versions that were stable before, the latest last; a rollback removes it.
    last: the history's line about the change that made this state. If a process dies before the line is in
        the history, the next change writes it.
    """

    highest: int = 0
    aliases: dict[str, int] = field(default_factory=dict)
    tags: dict[str, int] = field(default_factory=dict)
    traffic: Mapping[str, Any] | None = None
    previous: list[int] = field(default_factory=list)
    last: Mapping[str, Any] | None = None

    def selectors(self, latest: int) -> dict[str, int]:
        """Everything but a number that picks a version: tags, aliases and ``latest``, the version given."""
        return {**self.tags, **self.aliases, "latest": latest}


def held_by(state: State, version: int) -> list[str]:
    """What of the state names the version, so that it cannot be deleted."""
    held = [alias for alias, number in state.aliases.items() if number == version]
    rule = state.traffic or {}
    named = any(part["version"] == version for part in (*rule.get("arms", ()), *rule.get("matches", ())))
    return held + ["in the traffic rule"] * named


class Registry:
    """What a store says about its models. Reading needs no lock."""

    def __init__(self, path: Path, files: Files) -> None:
        self._path = path
        self._files = files

    def generation(self) -> str:
        """A number, as text, that grows as soon as the store begins to change; "0" where none can be read."""
        raw = read_if_there(self._path / "generation") or b"0"
        text = raw.decode("ascii", "replace").strip()
        return text if text.isdecimal() and len(text) <= MOST_DIGITS else "0"

    def at_rest(self) -> bool:
        """Whether no change is under way."""
        return not is_locked(self._path / "lock")

    def state(self, name: str) -> State:
        """The state of a model as it was written, empty before that; raises ArtifactDamaged."""
        raw = read_if_there(self._path / name / "state.json")
        if raw is None:
            return State()
        try:
            state = State(**orjson.loads(raw))
            numbers = (state.highest, *state.aliases.values(), *state.tags.values(), *state.previous)
            if not {type(n) for n in numbers} <= {int}:
                raise ValueError("a version that is no number")
            return state
        except (ValueError, TypeError, AttributeError) as error:
            raise ArtifactDamaged(
                f"{name}/state.json is damaged; restore it (history.jsonl beside it says what was set)"
            ) from error

    def history(self, name: str) -> list[dict[str, Any]]:
        """Every recorded change of a model, oldest first; a line that a crash cut short is left out."""
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
        """Give the store another generation although nothing changed; returns it."""
        with self._locked():
            return self._next_generation()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._files.make_dir(self._path)
        with self._files.locked(self._path / "lock"):
            yield

    def _next_generation(self) -> str:
        """Under the lock. Where the last generation is lost the next one is larger all the same: a worker
        that serves an earlier one must not be taken for one that serves this.
        """
        number = max(int(self.generation()) + 1, time.time_ns() // 1000)
        self._files.replace(self._path / "generation", str(number).encode())
        return str(number)

    def _unwritten(self, name: str) -> list[bytes]:
        """The line of the last change, if its process died before it was in the history; at most one."""
        with suppress(ArtifactDamaged):  # of the state; what the history holds can be read all the same
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

    The generation grows first: a reader that sees the new one waits until the lock is free, and reads what
    the change made or what a process that died on the way left. If it grew last, no reader would hear of the
    latter.
    """

    registry: Registry
    name: str

    def begin(self) -> str:
        """Give the store another generation, which is returned; before anything is changed."""
        for line in self.registry._unwritten(self.name):
            self.registry._add_to_history(self.name, line)
        return self.registry._next_generation()

    def set_state(self, state: State) -> None:
        """Replace the model's state in one step."""
        self.registry._set_state(self.name, state)

    def commit(self, state: State, what: str, *, who: str = "", **details: Any) -> None:
        """Replace the state and add the change to the history, which cannot lack it from then on.

        who: by default the user of this process.
        """
        when = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        said = {key: value for key, value in details.items() if value not in (None, "", [])}
        line = {"when": when, "who": who or _who(), "what": what, **said}
        self.set_state(replace(state, last=line))
        with suppress(OSError):  # a full disk: the state has the line, and the next change writes it first
            self.registry._add_to_history(self.name, orjson.dumps(line))


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a numeric user without a name, as in a container
        return str(os.getuid())
