"""Which models and versions there are: one snapshot of the store, read without loading any model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.serving.messages import Target
from models.errors import LoadError, ModelNotFound, PlumblineError, VersionNotFound
from models.manifest import Manifest
from models.names import version_number
from models.store import Store
from models.stored import StoredVersion


@dataclass(frozen=True, slots=True)
class CatalogModel:
    """One model. ``whole`` and ``faulty`` versions are ascending; ``selectors`` are tags, aliases and ``latest``."""

    name: str
    whole: Mapping[int, StoredVersion]
    faulty: Mapping[int, str]
    selectors: Mapping[str, int]
    aliases: Mapping[str, int] = field(default_factory=dict)
    tags: Mapping[str, int] = field(default_factory=dict)

    @property
    def versions(self) -> list[int]:
        """All of them, ascending."""
        return sorted([*self.whole, *self.faulty])

    def names_of(self, version: int) -> list[str]:
        """The tags and aliases of a version."""
        return [selector for selector, number in self.selectors.items() if number == version]


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every model of the store at one generation. ``default`` is the model behind the short routes, if there is one."""

    generation: str
    models: Mapping[str, CatalogModel]
    default: str | None = None
    fault: str = ""

    def model(self, name: str) -> CatalogModel:
        """Raises ModelNotFound, which lists the models."""
        try:
            return self.models[name]
        except KeyError:
            raise ModelNotFound(name[:100], self.models) from None

    def resolve(self, name: str, selector: str | None = None) -> Target:
        """The version that a number, tag or alias names; without one, ``stable``.

        Raises ModelNotFound or VersionNotFound, which list what exists.
        """
        model = self.model(name)
        wanted = selector or "stable"
        number = version_number(wanted)
        found = model.selectors.get(wanted) if number is None else number
        if found is None or (found not in model.whole and found not in model.faulty):
            raise VersionNotFound(name, wanted[:100], [*map(str, model.versions), *model.selectors])
        return Target(name, found)

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
    """Read the whole store. A fault of one model or version stays with it; a store that cannot be read is empty.

    ``default`` names the default model; when the store lacks it and holds exactly one model, that one is it.
    """
    generation = "0"
    try:
        generation = store.generation()
        found = {name: _read_model(store, name) for name in store.names()}
    except (PlumblineError, OSError) as error:
        return Catalog(generation, {}, fault=str(error))
    chosen = default if default in found else next(iter(found)) if len(found) == 1 else None
    return Catalog(generation, found, chosen)


def _read_model(store: Store, name: str) -> CatalogModel:
    whole: dict[int, StoredVersion] = {}
    faulty: dict[int, str] = {}
    versions = store.versions(name)
    try:
        state = store.state(name)
        selectors = store.selectors(name)
    except LoadError as error:
        return CatalogModel(name, {}, dict.fromkeys(versions, str(error)), {"latest": versions[-1]})
    for version in versions:
        try:
            whole[version] = store.get(name, version)
        except LoadError as error:
            faulty[version] = str(error)
    live = set(versions)
    aliases = {alias: v for alias, v in state.aliases.items() if v in live}
    tags = {tag: v for tag, v in state.tags.items() if v in live}
    return CatalogModel(name, whole, faulty, {s: v for s, v in selectors.items() if v in live}, aliases, tags)
