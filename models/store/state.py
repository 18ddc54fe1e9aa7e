"""What may change about a model, and the steps by which a change becomes visible."""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from models.errors import ArtifactDamaged
from models.store.files import Files, read_if_there

HISTORY = "history.jsonl"
MOST_DIGITS = 18


@dataclass(frozen=True, slots=True)
class State:
    """Aliases and tags name version numbers; ``highest`` is the largest number ever given.

    ``previous`` : the versions that were stable before, the last one last; a rollback takes it away. ``last`` : the
    history's line about the change that made this state, so that a process that dies between the two leaves none out.
    """

    highest: int = 0
    aliases: dict[str, int] = field(default_factory=dict)
    tags: dict[str, int] = field(default_factory=dict)
    traffic: Mapping[str, Any] | None = None
    previous: list[int] = field(default_factory=list)
    last: Mapping[str, Any] | None = None

    def selectors(self, latest: int) -> dict[str, int]:
        """Everything but a number that picks a version: tags, aliases and ``latest``, which is the version given."""
        return {**self.tags, **self.aliases, "latest": latest}


def read_state(directory: Path) -> State:
    """The state of the model in ``directory``, empty when none was written yet; raises ArtifactDamaged."""
    raw = read_if_there(directory / "state.json")
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
            f"{directory.name}/state.json is damaged; restore it (history.jsonl beside it says what was set)"
        ) from error


def held_by(state: State, version: int) -> list[str]:
    """What of the state names the version, so that it cannot be deleted."""
    held = [alias for alias, number in state.aliases.items() if number == version]
    rule = state.traffic or {}
    named = any(part["version"] == version for part in (*rule.get("arms", ()), *rule.get("matches", ())))
    return held + ["in the traffic rule"] * named


def read_history(directory: Path) -> list[dict[str, Any]]:
    """Every recorded change, oldest first; a line that a crash cut short is left out."""
    found = []
    for line in [*(read_if_there(directory / HISTORY) or b"").splitlines(), *_unwritten(directory)]:
        try:
            found.append(orjson.loads(line))
        except orjson.JSONDecodeError:
            continue
    return found


def _unwritten(directory: Path) -> list[bytes]:
    """The line of the last change, if its process died before it was in the history; at most one."""
    with suppress(ArtifactDamaged):  # of the state; what the history holds can be read all the same
        if (last := read_state(directory).last) is not None:
            line = orjson.dumps(last)
            return [line] if line not in (read_if_there(directory / HISTORY) or b"") else []
    return []


def read_generation(store: Path) -> str:
    """A number, as text, that grows as soon as the store begins to change; "0" where there is none, or something else."""
    found = (read_if_there(store / "generation") or b"0").decode("ascii", "replace").strip()
    return found if found.isdecimal() and len(found) <= MOST_DIGITS else "0"


def next_generation(files: Files, store: Path) -> str:
    """Give the store another generation; under its lock. Where the last one is lost, it is larger all the same: a worker that
    serves an earlier one must not be taken for one that serves this."""
    number = max(int(read_generation(store)) + 1, time.time_ns() // 1000)
    files.replace(store / "generation", str(number).encode())
    return str(number)


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one model, made under the store's lock.

    Readers are told first: whoever sees the new generation waits until the lock is free, and reads what the change made or
    what a process that died on the way left. Were they told last, they would never hear of the latter.
    """

    files: Files
    store: Path
    name: str

    def begin(self) -> str:
        """Give the store another generation, which is returned; before anything is changed."""
        for line in _unwritten(self.store / self.name):
            self.files.append_line(self.store / self.name / HISTORY, line)
        return next_generation(self.files, self.store)

    def set_state(self, state: State) -> None:
        """Replace the model's state in one step."""
        data = orjson.dumps(asdict(state), option=orjson.OPT_INDENT_2)
        self.files.replace(self.store / self.name / "state.json", data)

    def commit(self, state: State, what: str, *, who: str = "", **details: Any) -> None:
        """Replace the state and add the change to the history, which cannot lack it from then on.

        ``who`` : by default the user of this process.
        """
        when = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        said = {key: value for key, value in details.items() if value not in (None, "", [])}
        line = {"when": when, "who": who or _who(), "what": what, **said}
        self.set_state(replace(state, last=line))
        with suppress(OSError):  # a full disk: the state has the line, and the next change writes it first
            self.files.append_line(self.store / self.name / HISTORY, orjson.dumps(line))


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a numeric user without a name, as in a container
        return str(os.getuid())
