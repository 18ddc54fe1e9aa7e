"""Which models and versions there are: one snapshot of the store, read without loading any model."""

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

#: So often, and at most so long, a reader looks whether a change that is under way is done.
SETTLE_POLL_SECONDS, SETTLE_SECONDS = 0.005, 2.0

#: What clients are told of ``Catalog.fault``, which names paths of the server.
UNREADABLE = "the store cannot be read; the log says why"


@dataclass(frozen=True, slots=True)
class CatalogModel:
    """One model. ``whole`` and ``faulty`` versions are ascending; ``selectors`` are tags, aliases and ``latest``.

    ``rule`` : which requests get another version than the stable one; ``previous`` : what was stable before, the last one
    last. One whose directory cannot be read has no versions, and a ``fault``.
    """

    name: str
    whole: Mapping[int, Record]
    faulty: Mapping[int, str]
    selectors: Mapping[str, int]
    aliases: Mapping[str, int] = field(default_factory=dict)
    tags: Mapping[str, int] = field(default_factory=dict)
    rule: Rule | None = None
    previous: Sequence[int] = ()
    fault: str = ""

    @property
    def versions(self) -> list[int]:
        """All of them, ascending."""
        return sorted([*self.whole, *self.faulty])

    @property
    def description(self) -> str:
        """What the publisher says about the stable version; empty where that cannot be read."""
        stable = self.whole.get(self.selectors.get("stable", 0))
        return stable.manifest.description if stable else ""

    def names_of(self, version: int) -> list[str]:
        """The tags and aliases of a version."""
        return [selector for selector, number in self.selectors.items() if number == version]

    def is_wanted(self, version: int) -> bool:
        """Whether a tag, an alias or the traffic rule names the version."""
        return version in self.selectors.values() or (self.rule is not None and version in self.rule.versions)


@dataclass(frozen=True)
class Catalog:
    """Every model of the store at one generation. ``default`` is the model behind the short routes, if there is one.

    ``stand_ins`` : by model, the version that answers in the place of a stable one that is not loaded here;
    ``held_rules`` : rules that hold until every version of the new ones is loaded.
    """

    generation: str
    models: Mapping[str, CatalogModel]
    default: str | None = None
    fault: str = ""
    stand_ins: Mapping[str, int] = field(default_factory=dict)
    held_rules: Mapping[str, Rule] = field(default_factory=dict)

    def check(self) -> None:
        """Raises StoreUnavailable when the store could not be read: then nothing is known to be missing from it."""
        if self.fault:
            raise StoreUnavailable(UNREADABLE)

    def model(self, name: str) -> CatalogModel:
        """Raises ModelNotFound, which lists the models, or StoreUnavailable when the store could not be read."""
        self.check()
        try:
            return self.models[name]
        except KeyError:
            raise ModelNotFound(name[:100], self.models) from None

    def resolve(self, name: str, selector: str | None = None) -> Version:
        """The version that a number, tag or alias names; without one, ``stable``.

        Raises ModelNotFound or VersionNotFound, which list what exists, or LoadError for a model that cannot be read.
        """
        if (selector is None or selector == "stable") and name in self._routed:
            return self._routed[name]
        model = self.model(name)
        if model.fault:
            raise LoadError(model.fault)
        wanted = selector or "stable"
        number = version_number(wanted)
        found = model.selectors.get(wanted) if number is None else number
        if found is None or (found not in model.whole and found not in model.faulty):
            raise VersionNotFound(name, wanted[:100], [*map(str, model.versions), *model.selectors])
        return Version(name, found)

    @cached_property
    def rules(self) -> Mapping[str, Rule]:
        """The traffic rules of the models that have one and can be routed."""
        found = {name: self.held_rules.get(name, model.rule) for name, model in self.models.items()}
        return {name: rule for name, rule in found.items() if rule is not None and name in self._routed}

    def summary(self) -> str:
        """What routed requests get, as ``name:version``, for a line of the log."""
        found = [*map(str, self._routed.values())]
        return ", ".join(found[:20]) + (f" .. ({len(found)} in all)" if len(found) > 20 else "") or "no model"

    def routed(self, name: str) -> Version | None:
        """The version that routed requests of the model get, or None."""
        return self._routed.get(name)

    @cached_property
    def _routed(self) -> Mapping[str, Version]:
        """The ``stable`` version of every model that has one, or its stand-in: what nearly every request is for."""
        found = {
            name: (model, self.stand_ins.get(name, model.selectors.get("stable")))
            for name, model in self.models.items()
        }
        return {
            name: Version(name, number)
            for name, (model, number) in found.items()
            if number in model.versions and not model.fault and not self.fault
        }

    def stored(self, target: Version) -> Record:
        """The version itself; raises LoadError when its manifest cannot be trusted, VersionNotFound when it is gone."""
        model = self.model(target.name)
        if target.number in model.faulty:
            raise LoadError(model.faulty[target.number])
        if target.number not in model.whole:
            raise VersionNotFound(target.name, str(target.number), map(str, model.versions))
        return model.whole[target.number]

    def manifest(self, target: Version) -> Manifest:
        """What the version recorded; raises LoadError as ``stored`` does."""
        return self.stored(target).manifest

    def targets(self) -> list[Version]:
        """Every version of every model."""
        return [Version(name, version) for name, model in self.models.items() for version in model.versions]


def read_catalog(store: Store, default: str) -> Catalog:
    """Read the whole store. A fault of one model or version stays with it; a store that cannot be read has ``fault``.

    ``default`` names the default model; when the store lacks it and holds exactly one model, that one is it. A change
    that is under way is waited for; where it takes too long the catalog's generation is empty, which is no store's: it must
    be read once more.
    """
    generation = "0"
    found: dict[str, CatalogModel] = {}
    try:
        generation = _settled_generation(store)
        names = store.names()
    except (PlumblineError, OSError) as error:
        return Catalog(generation, {}, fault=str(error))
    for name in names:
        try:
            found[name] = _read_model(store, name)
        except ModelNotFound:  # deleted since its name was read
            continue
        except (PlumblineError, OSError) as error:
            log.error("model %s cannot be read: %s", name, error)
            found[name] = CatalogModel(name, {}, {}, {}, fault=f"{name} cannot be read from the store")
    chosen = default if default in found else next(iter(found)) if len(found) == 1 else None
    return Catalog(generation, found, chosen)


def _settled_generation(store: Store) -> str:
    generation = store.generation()
    for _ in range(round(SETTLE_SECONDS / SETTLE_POLL_SECONDS)):
        if store.at_rest():
            return generation
        time.sleep(SETTLE_POLL_SECONDS)
    log.warning("a change of the store takes long: what is read now may lack it, and is read again")
    return ""


def carried_over(before: Catalog, now: Catalog) -> Catalog:
    """The catalog of now; what could be read before and cannot be read any more is as it was."""
    models = dict(now.models)
    for name, model in now.models.items():
        old = before.models.get(name)
        if old is None:
            continue
        if old.whole and not model.whole:
            log.error("%s cannot be read any more; what was read before is kept", name)
            models[name] = old
        elif lost := model.faulty.keys() & old.whole.keys():
            log.error(
                "%s: version %s cannot be read any more, it is kept", name, ", ".join(map(str, sorted(lost)))
            )
            whole = {**model.whole, **{version: old.whole[version] for version in lost}}
            faulty = {version: why for version, why in model.faulty.items() if version not in lost}
            models[name] = replace(model, whole=whole, faulty=faulty)
    return replace(now, models=models)


def _read_model(store: Store, name: str) -> CatalogModel:
    whole: dict[int, Record] = {}
    faulty: dict[int, str] = {}
    versions = store.versions(name)
    try:
        state = store.state(name)
    except (LoadError, StoreUnavailable) as error:
        reason = str(error) if isinstance(error, LoadError) else f"{name}/state.json cannot be read"
        return CatalogModel(name, {}, dict.fromkeys(versions, reason), {"latest": versions[-1]})
    for version in versions:
        try:
            whole[version] = store.get(name, version)
        except VersionNotFound:  # deleted since the versions were listed
            continue
        except LoadError as error:
            faulty[version] = str(error)
    live = {*whole, *faulty}
    if not live:
        raise ModelNotFound(name)
    rule = _rule(name, state.traffic)
    # Deleting moves aliases first, so these went another way; what is in memory of them may answer on.
    for version in ({*state.aliases.values()} | (rule.versions if rule else set())) - live:
        faulty[version] = f"the files of {name}:{version} have gone from the store"
    live = {*whole, *faulty}
    aliases = {alias: v for alias, v in state.aliases.items() if v in live}
    tags = {tag: v for tag, v in state.tags.items() if v in live}
    named = {s: v for s, v in state.selectors(versions[-1]).items() if v in live}
    previous = [v for v in state.previous if v in live]
    return CatalogModel(name, whole, faulty, named, aliases, tags, rule, previous)


def _rule(name: str, said: Any) -> Rule | None:
    """The model's traffic rule; one that makes no sense is left out, and every request goes to the stable version."""
    try:
        return None if said is None else read_rule(said)
    except InvalidRule as error:
        log.error("the traffic rule of %s is not applied: %s", name, error)
        return None
