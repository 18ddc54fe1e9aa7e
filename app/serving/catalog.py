"""Which models and versions there are: one snapshot of the store, read without loading any model."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from app.serving.messages import Target
from models.errors import LoadError, ModelNotFound, PlumblineError, StoreUnavailable, VersionNotFound
from models.manifest import Manifest
from models.names import version_number
from models.store import Store
from models.stored import StoredVersion

log = logging.getLogger("plumbline.serving")

#: What clients are told of ``Catalog.fault``, which names paths of the server.
UNREADABLE = "the store cannot be read; the log says why"


@dataclass(frozen=True, slots=True)
class CatalogModel:
    """One model. ``whole`` and ``faulty`` versions are ascending; ``selectors`` are tags, aliases and ``latest``.

    One whose directory cannot be read has no versions, and a ``fault``.
    """

    name: str
    whole: Mapping[int, StoredVersion]
    faulty: Mapping[int, str]
    selectors: Mapping[str, int]
    aliases: Mapping[str, int] = field(default_factory=dict)
    tags: Mapping[str, int] = field(default_factory=dict)
    fault: str = ""

    @property
    def versions(self) -> list[int]:
        """All of them, ascending."""
        return sorted([*self.whole, *self.faulty])

    def names_of(self, version: int) -> list[str]:
        """The tags and aliases of a version."""
        return [selector for selector, number in self.selectors.items() if number == version]


@dataclass(frozen=True)
class Catalog:
    """Every model of the store at one generation. ``default`` is the model behind the short routes, if there is one."""

    generation: str
    models: Mapping[str, CatalogModel]
    default: str | None = None
    fault: str = ""

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

    def resolve(self, name: str, selector: str | None = None) -> Target:
        """The version that a number, tag or alias names; without one, ``stable``.

        Raises ModelNotFound or VersionNotFound, which list what exists, or LoadError for a model that cannot be read.
        """
        if selector is None and name in self._routed:
            return self._routed[name]
        model = self.model(name)
        if model.fault:
            raise LoadError(model.fault)
        wanted = selector or "stable"
        number = version_number(wanted)
        found = model.selectors.get(wanted) if number is None else number
        if found is None or (found not in model.whole and found not in model.faulty):
            raise VersionNotFound(name, wanted[:100], [*map(str, model.versions), *model.selectors])
        return Target(name, found)

    @cached_property
    def _routed(self) -> Mapping[str, Target]:
        """The ``stable`` version of every model that has one: what nearly every request is for."""
        found = {name: (model, model.selectors.get("stable")) for name, model in self.models.items()}
        return {
            name: Target(name, number)
            for name, (model, number) in found.items()
            if number in model.versions and not model.fault and not self.fault
        }

    def stored(self, target: Target) -> StoredVersion:
        """The version itself; raises LoadError when its manifest cannot be trusted."""
        model = self.model(target.name)
        if target.version in model.faulty:
            raise LoadError(model.faulty[target.version])
        return model.whole[target.version]

    def manifest(self, target: Target) -> Manifest:
        """What the version recorded; raises LoadError as ``stored`` does."""
        return self.stored(target).manifest

    def targets(self) -> list[Target]:
        """Every version of every model."""
        return [Target(name, version) for name, model in self.models.items() for version in model.versions]


def read_catalog(store: Store, default: str) -> Catalog:
    """Read the whole store. A fault of one model or version stays with it; a store that cannot be read has ``fault``.

    ``default`` names the default model; when the store lacks it and holds exactly one model, that one is it.
    """
    generation = "0"
    found: dict[str, CatalogModel] = {}
    try:
        generation = store.generation()
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


def _read_model(store: Store, name: str) -> CatalogModel:
    whole: dict[int, StoredVersion] = {}
    faulty: dict[int, str] = {}
    versions = store.versions(name)
    try:
        state = store.state(name)
        selectors = store.selectors(name)
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
    aliases = {alias: v for alias, v in state.aliases.items() if v in live}
    tags = {tag: v for tag, v in state.tags.items() if v in live}
    return CatalogModel(name, whole, faulty, {s: v for s, v in selectors.items() if v in live}, aliases, tags)
