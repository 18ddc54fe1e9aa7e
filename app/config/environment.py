"""Reading the settings from the environment: once, with every value validated before anything starts."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from environs import Env, EnvError

from app.config.settings import PREFIX, SETTINGS, Setting, Settings

#: Variables that Kubernetes and Docker links set in containers that can reach a service called "plumbline".
INJECTED = re.compile(
    r"PLUMBLINE_(SERVICE_.*=.*|PORT=(tcp|udp|sctp)://.*|PORT_.*=.*|ENV_.*=.*|NAME=/.*)", re.DOTALL
)


class ConfigError(Exception):
    """One or more settings are not valid; the message names each of them, in one line."""


_READERS: dict[str, Callable[[Env, str], Any]] = {
    "str": lambda env, name: env.str(name),
    "int": lambda env, name: env.int(name),
    "float": lambda env, name: env.float(name),
    "bool": lambda env, name: env.bool(name),
    "Path": lambda env, name: Path(env.str(name)),
    "Path | None": lambda env, name: Path(env.str(name)) if env.str(name) else None,
    "tuple[str, ...]": lambda env, name: tuple(p.strip() for p in env.str(name).split(",") if p.strip()),
    "Mapping[str, str]": lambda env, name: env.dict(name),
}


def load_settings() -> Settings:
    """Read the settings of this process. Raises ConfigError with every invalid or unknown setting."""
    env = Env()
    values: dict[str, Any] = {}
    faults = _unknown_names()
    for row in SETTINGS:
        if os.environ.get(row.env, "") == "":
            continue
        try:
            values[row.field] = value = _READERS[row.type](env, row.env)
        except (EnvError, ValueError) as error:
            text, meaning = os.environ[row.env], row.unit or row.help
            faults.append(f"{row.env}={text!r} is not a valid {row.type} ({meaning}): {_short(error)}")
            continue
        faults += _out_of_bounds(row, value)
    if faults:
        raise ConfigError("; ".join(faults))
    return Settings(**values)


def _unknown_names() -> list[str]:
    # Names are compared without the prefix, because some settings have none: PLUMBLINE_WORKERS means WORKERS.
    known = {row.env.removeprefix(PREFIX): row.env for row in SETTINGS}
    faults = []
    for name, value in sorted(os.environ.items()):
        if not name.startswith(PREFIX) or not value or name in known.values():
            continue
        if INJECTED.fullmatch(f"{name}={value}"):
            continue
        near = difflib.get_close_matches(name.removeprefix(PREFIX), known, n=1, cutoff=0.3)
        faults.append(f"{name} is not a setting" + (f"; did you mean {known[near[0]]}?" if near else ""))
    return faults


def _out_of_bounds(row: Setting, value: Any) -> list[str]:
    given = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple) else [value]
    if row.one_of and any(v not in row.one_of for v in given):
        return [f"{row.env}={os.environ[row.env]!r}: use one of {', '.join(row.one_of)}"]
    if row.pattern and not all(re.fullmatch(row.pattern, v) for v in given):
        return [f"{row.env}={os.environ[row.env]!r}: use {row.unit}"]
    if row.type in ("int", "float") and not row.at_least <= value <= row.at_most:
        limit = f"at most {row.at_most:g}" if value > row.at_most else f"at least {row.at_least:g}"
        return [f"{row.env}={value}: use {limit} {row.unit}"]
    return []


def _short(error: Exception) -> str:
    return " ".join(str(error).split()).removeprefix("Environment variable ")[:120]
