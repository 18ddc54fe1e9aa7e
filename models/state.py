"""What may change about a model, and the steps by which a change becomes visible."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from models.errors import ArtifactDamaged
from models.files import Files, read_if_there


@dataclass(frozen=True, slots=True)
class State:
    """Aliases and tags name version numbers; ``highest`` is the largest number ever given.

    ``previous`` : the versions that were stable before, the last one last; a rollback takes it away.
    """

    highest: int = 0
    aliases: dict[str, int] = field(default_factory=dict)
    tags: dict[str, int] = field(default_factory=dict)
    traffic: Mapping[str, Any] | None = None
    previous: list[int] = field(default_factory=list)


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
    for line in (read_if_there(directory / "history.jsonl") or b"").splitlines():
        try:
            found.append(orjson.loads(line))
        except orjson.JSONDecodeError:
            continue
    return found


def read_generation(store: Path) -> str:
    """A text that differs after every change of the store."""
    return (read_if_there(store / "generation") or b"0").decode("ascii", "replace").strip()


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one model, made under the store's lock.

    Readers are told last: the generation that they watch moves only after everything it stands for is on disk.
    """

    files: Files
    store: Path
    name: str

    def set_state(self, state: State) -> None:
        """Replace the model's state in one step."""
        data = orjson.dumps(asdict(state), option=orjson.OPT_INDENT_2)
        self.files.replace(self.store / self.name / "state.json", data)

    def record(self, what: str, *, who: str = "", **details: Any) -> str:
        """Add the change to the history and give the store another generation, which is returned.

        ``who`` : by default the user of this process.
        """
        when = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        said = {key: value for key, value in details.items() if value not in (None, "", [])}
        line = orjson.dumps({"when": when, "who": who or _who(), "what": what, **said})
        self.files.append_line(self.store / self.name / "history.jsonl", line)
        current = read_generation(self.store)
        number = int(current) + 1 if current.isdigit() else 1
        self.files.replace(self.store / "generation", str(number).encode())
        return str(number)


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a numeric user without a name, as in a container
        return str(os.getuid())
