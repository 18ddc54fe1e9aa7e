"""The state of the store at one generation: its models and versions, read without loading any model."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from models.errors import (
    InvalidRule,
    LoadError,
    ModelNotFound,
    PlumblineError,
    StoreUnavailable,
    VersionNotFound,
)
from models.manifest import Manifest
from models.names import Version, version_number
from models.record import Record
from models.store import Store
from models.traffic import Rule, read_rule

log = logging.getLogger("plumbline.serving")

#: How often, and for how long at most, a reader checks whether a change in progress has ended.
SETTLE_POLL_SECONDS, SETTLE_SECONDS = 0.005, 2.0

#: The text for clients in place of ``Snapshot.fault``, which names paths of the server.
UNREADABLE = "the store cannot be read; the log says why"


@dataclass(frozen=True, slots=True)
class ModelVersions:
    """One model in the store."""

    name: str
    #: By number, ascending: the version's record, or the reason why it cannot be read.
    versions: Mapping[int, Record | str]
    #: Tags, aliases and ``latest``, each with the number that it names.
    selectors: Mapping[str, int]
    aliases: Mapping[str, int] = field(default_factory=dict)
    tags: Mapping[str, int] = field(default_factory=dict)
    #: The traffic rule, which gives some requests another version than the stable one.
    rule: Rule | None = None
    #: The numbers that were stable before, the most recent last.
    previous: Sequence[int] = ()
    #: Why the model's directory cannot be read. The model has no versions then.
    fault: str = ""

    def record(self, number: int) -> Record | None:
        """Return the version's record, or None for one that cannot be read or does not exist."""
        record = self.versions.get(number)
        return None if isinstance(record, str) else record

    def fault_of(self, number: int) -> str:
        """Return the reason why the version cannot be read, or an empty string."""
        fault = self.versions.get(number)
        return fault if isinstance(fault, str) else ""

    @property
    def stable(self) -> Version | None:
        """The version that the alias ``stable`` names."""
        number = self.selectors.get("stable")
        return None if number is None else Version(self.name, number)

    @property
    def description(self) -> str:
        """The publisher's description of the stable version; empty where that cannot be read."""
        record = self.record(self.selectors.get("stable", 0))
        return record.manifest.description if record else ""

    def names_of(self, number: int) -> list[str]:
        """Return the tags and aliases of a version."""
        return [selector for selector, named in self.selectors.items() if named == number]

    def is_named(self, number: int) -> bool:
        """Return whether a tag, an alias or the traffic rule names the version."""
        return number in self.selectors.values() or (self.rule is not None and number in self.rule.versions)


@dataclass(frozen=True)
class Snapshot:
    """The models of the store at one generation. It is immutable, and independent of what is in memory."""

    generation: str
    models: Mapping[str, ModelVersions]
    #: The name of the model behind the short routes, if there is one.
    default: str | None = None
    #: Why the store could not be read. The snapshot has no models then.
    fault: str = ""

    def check(self) -> None:
        """Raise StoreUnavailable if the store could not be read: nothing is known to be missing then."""
        if self.fault:
            raise StoreUnavailable(UNREADABLE)

    def model(self, name: str) -> ModelVersions:
        """Return a model by name. Raises ModelNotFound, which lists the models, or StoreUnavailable."""
        self.check()
        try:
            return self.models[name]
        except KeyError:
            raise ModelNotFound(name[:100], self.models) from None

    def resolve(self, name: str, selector: str | None = None) -> Version:
        """Return the version that a number, tag or alias names; without one, ``stable``.

        Raises ModelNotFound or VersionNotFound, which list what exists, or LoadError for a model that cannot
        be read.
        """
        model = self.model(name)
        if model.fault:
            raise LoadError(model.fault)
        wanted = selector or "stable"
        number = version_number(wanted)
        if number is None:
            number = model.selectors.get(wanted)
        if number is None or number not in model.versions:
            raise VersionNotFound(name, wanted[:100], [*map(str, model.versions), *model.selectors])
        return Version(name, number)

    def record(self, target: Version) -> Record:
        """Return the version's record. Raises LoadError when it cannot be read, or VersionNotFound."""
        model = self.model(target.name)
        record = model.versions.get(target.number)
        if record is None:
            raise VersionNotFound(target.name, str(target.number), map(str, model.versions))
        if isinstance(record, str):
            raise LoadError(record)
        return record

    def manifest(self, target: Version) -> Manifest:
        """Return the manifest of a version. Raises as ``record`` does."""
        return self.record(target).manifest

    @cached_property
    def targets(self) -> Sequence[Version]:
        """The key of every version of every model."""
        return [Version(name, number) for name, model in self.models.items() for number in model.versions]


def read_snapshot(store: Store, default: str) -> Snapshot:
    """Read the whole store. A model or version that cannot be read carries its own fault.

    A change in progress is waited for. If it takes too long, the generation of the snapshot is empty, which
    no store has, so that the store is read again. ``default`` names the default model; if the store lacks it
    and holds one model, that one is the default.
    """
    generation = "0"
    models: dict[str, ModelVersions] = {}
    try:
        generation = _settled_generation(store)
        names = store.names()
    except (PlumblineError, OSError) as error:
        return Snapshot(generation, {}, fault=str(error))
    for name in names:
        try:
            models[name] = _read_model(store, name)
        except ModelNotFound:  # deleted since its name was read
            continue
        except (PlumblineError, OSError) as error:
            log.error("model %s cannot be read: %s", name, error)
            models[name] = ModelVersions(name, {}, {}, fault=f"{name} cannot be read from the store")
    chosen = default if default in models else next(iter(models)) if len(models) == 1 else None
    return Snapshot(generation, models, chosen)


def _settled_generation(store: Store) -> str:
    generation = store.generation()
    for _ in range(round(SETTLE_SECONDS / SETTLE_POLL_SECONDS)):
        if store.at_rest():
            return generation
        time.sleep(SETTLE_POLL_SECONDS)
    log.warning("a change of the store takes long: the store is read without waiting for it, and again later")
    return ""


def carry_over(before: Snapshot, now: Snapshot) -> Snapshot:
    """Return the snapshot ``now``, with earlier records in place of those that cannot be read any more."""
    models = dict(now.models)
    for name, model in now.models.items():
        old = before.models.get(name)
        if old is None:
            continue
        readable = {number: record for number, record in old.versions.items() if not isinstance(record, str)}
        if readable and not any(map(model.record, model.versions)):
            log.error("%s cannot be read any more; its last state is kept", name)
            models[name] = old
        elif lost := {number for number in readable if model.fault_of(number)}:
            log.error(
                "%s: version %s cannot be read any more, it is kept", name, ", ".join(map(str, sorted(lost)))
            )
            kept = {number: readable[number] for number in lost}
            models[name] = replace(model, versions={**model.versions, **kept})
    return replace(now, models=models)


def _read_model(store: Store, name: str) -> ModelVersions:
    versions: dict[int, Record | str] = {}
    numbers = store.versions(name)
    try:
        state = store.state(name)
    except (LoadError, StoreUnavailable) as error:
        reason = str(error) if isinstance(error, LoadError) else f"{name}/state.json cannot be read"
        return ModelVersions(name, dict.fromkeys(numbers, reason), {"latest": numbers[-1]})
    for number in numbers:
        try:
            versions[number] = store.get(name, number)
        except VersionNotFound:  # deleted since the versions were listed
            continue
        except LoadError as error:
            versions[number] = str(error)
    if not versions:
        raise ModelNotFound(name)
    rule = _rule(name, state.traffic)
    # Deleting a version moves its aliases first, so these files vanished in another way, and what is in
    # memory of them may go on answering.
    for number in ({*state.aliases.values()} | (rule.versions if rule else set())) - versions.keys():
        versions[number] = f"the files of {name}:{number} are missing in the store"
    aliases = {alias: number for alias, number in state.aliases.items() if number in versions}
    tags = {tag: number for tag, number in state.tags.items() if number in versions}
    selectors = state.selectors(numbers[-1]).items()
    named = {selector: number for selector, number in selectors if number in versions}
    previous = [number for number in state.previous if number in versions]
    return ModelVersions(name, dict(sorted(versions.items())), named, aliases, tags, rule, previous)


def _rule(name: str, stored: Any) -> Rule | None:
    """Return the model's traffic rule.

    An invalid rule is left out, and every request goes to the stable version.
    """
    try:
        return None if stored is None else read_rule(stored)
    except InvalidRule as error:
        log.error("the traffic rule of %s is not applied: %s", name, error)
        return None
