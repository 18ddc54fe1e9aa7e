"""The model store: add, resolve, list, tag and delete versions, each operation atomic.

A store has two sides: the registry (state, history, generation, lock) and the artifacts (files of versions).
Only this package knows the paths of either.

    <store>/lock                          an flock for every change
    <store>/generation                    a number that grows when a change begins; all that a worker watches
    <store>/<name>/state.json             aliases, tags, the highest version number ever assigned
    <store>/<name>/history.jsonl          one line for each change: when, who, what, why
    <store>/<name>/<version>/             manifest.json and the files that it records; never changed again

A person who can write to the store can run code in the server: digests protect against damage, not against an
author. With a key, manifests carry an HMAC, and a version without a valid one is neither loaded nor listed as
valid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.errors import (
    ArtifactDamaged,
    Conflict,
    ModelNotFound,
    PublishError,
    StoreUnavailable,
    VersionNotFound,
)
from models.manifest import MANIFEST, Manifest
from models.names import (
    Version,
    check_model_name,
    check_tag,
    check_tags,
    split_reference,
    version_number,
)
from models.record import Record
from models.store.artifacts import Artifacts
from models.store.files import Files, store_errors
from models.store.registry import Change, Registry, State, held_by


class Store:
    """A directory of models. Nothing is created before the first change; readers work on a read-only disk."""

    def __init__(self, path: str | Path, *, key: bytes | None = None, files: Files | None = None) -> None:
        self.path = Path(path)
        self.key = key
        files = files or Files()
        self.registry = Registry(self.path, files)
        self._artifacts = Artifacts(self.path, key, files)

    # -- reading

    def generation(self) -> str:
        """Return a text that differs as soon as the store begins to change; the change is complete once
        ``at_rest``.
        """
        return self.registry.generation()

    def at_rest(self) -> bool:
        """Return whether no change is in progress: all changes of an earlier ``generation`` are then
        complete.
        """
        return self.registry.at_rest()

    def names(self) -> list[str]:
        """Return the models that have at least one version, sorted."""
        with store_errors(self.path):
            names = self._artifacts.names()
        return sorted(name for name in names if self._holds(name))

    def _holds(self, name: str) -> bool:
        """Return whether the model has a version. One that cannot be read counts, so that it is not
        hidden.
        """
        try:
            return bool(self._artifacts.numbers(name))
        except (StoreUnavailable, OSError):
            return True

    def versions(self, name: str) -> list[int]:
        """Return the version numbers of a model, ascending; raises ModelNotFound or InvalidName."""
        numbers = self._artifacts.numbers(check_model_name(name))
        if not numbers:
            raise ModelNotFound(name, self.names())
        return numbers

    def state(self, name: str) -> State:
        """Return the state of a model. ``stable`` is its lowest version until another one is promoted."""
        versions = self.versions(name)
        state = self.registry.state(name)
        return replace(state, aliases={"stable": versions[0], **state.aliases})

    def selectors(self, name: str) -> dict[str, int]:
        """Return every selector but numbers, with the version that it names: tags, aliases and ``latest``."""
        return self.state(name).selectors(self.versions(name)[-1])

    def resolve(self, name: str, selector: str = "stable") -> int:
        """Return the version that a number, tag or alias names; raises ModelNotFound, VersionNotFound or
        InvalidName.
        """
        versions, selectors = self.versions(name), self.selectors(name)
        number = version_number(selector)
        version = selectors.get(selector) if number is None else number
        if version not in versions:
            raise VersionNotFound(name, selector, [*map(str, versions), *selectors])
        return version

    def resolve_reference(self, reference: str) -> tuple[str, int]:
        """Return the name and the version of a reference: ``name``, ``name:3`` or ``name:tag``."""
        name, selector = split_reference(reference)
        return name, self.resolve(name, selector)

    def get(self, name: str, version: int) -> Record:
        """Return the record of a version, its signature verified if the store has a key.

        Raises VersionNotFound, ArtifactDamaged or ArtifactUnsigned.
        """
        key = Version(check_model_name(name), version)
        try:
            return self._artifacts.get(key)
        except OSError as error:
            if not self._artifacts.has(key):
                raise VersionNotFound(name, str(version), map(str, self.versions(name))) from error
            raise ArtifactDamaged(
                f"{name}/{version}/{MANIFEST} cannot be read ({error.strerror}); publish the version again"
            ) from error

    def sealed_manifest(self, version: Version) -> dict[str, bytes]:
        """Return the manifest of a version as it was written, and its signature if it has one, by file name.

        Raises OSError.
        """
        return self._artifacts.sealed_manifest(version)

    def history(self, name: str) -> list[dict[str, Any]]:
        """Return every change of the model, oldest first."""
        return self.registry.history(check_model_name(name))

    # -- changing

    def add(
        self,
        manifest: Manifest,
        files: Mapping[str, bytes],
        *,
        tags: Sequence[str] = (),
        what: str = "publish",
    ) -> Record:
        """Write a version under the next free number. ``manifest.files`` must record exactly ``files``."""
        recorded = {path: record.size_bytes for path, record in manifest.files.items()}
        if recorded != {path: len(data) for path, data in files.items()}:
            raise PublishError("the manifest does not record exactly the files that come with it")
        check_tags(tags)
        name = check_model_name(manifest.name)
        with (
            store_errors(self.path),
            self._artifacts.staged(name, files) as staged,
            self.change(name) as change,
        ):
            state = self.registry.state(name)
            number = max([state.highest, *self._artifacts.numbers(name)]) + 1
            manifest = replace(manifest, version=number)
            staged.seal(manifest)
            change.begin()
            record = staged.keep(manifest)
            aliases = {"stable": self._artifacts.numbers(name)[0], **state.aliases}
            named = state.tags | dict.fromkeys(tags, number)
            changed = replace(state, highest=number, aliases=aliases, tags=named)
            change.commit(changed, what, version=number, tags=list(tags))
        return record

    def tag(self, name: str, version: int, tag: str, why: str = "", who: str = "") -> str:
        """Assign a tag to the version, and return the new generation. Raises VersionNotFound or
        InvalidName.
        """
        check_tag(tag)
        with store_errors(self.path):
            self.versions(name)
            with self.change(name) as change:
                if version not in self._artifacts.numbers(name):
                    raise VersionNotFound(name, str(version), map(str, self.versions(name)))
                generation, state = change.begin(), self.registry.state(name)
                changed, before = replace(state, tags={**state.tags, tag: version}), state.tags.get(tag)
                change.commit(changed, "tag", who=who, tag=tag, before=before, version=version, why=why)
                return generation

    def delete(self, name: str, version: int, why: str = "") -> None:
        """Remove a version and its tags. Its number is never used again.

        Raises VersionNotFound, or Conflict if an alias or the traffic rule names the version.
        """
        with store_errors(self.path):
            self.versions(name)
            with self.change(name) as change:
                if version not in self._artifacts.numbers(name):
                    raise VersionNotFound(name, str(version), map(str, self.versions(name)))
                if held := " and ".join(held_by(self.state(name), version)):
                    way_out = "move that to another version first, or delete the whole model"
                    raise Conflict(f"{Version(name, version)} is {held}; {way_out}")
                change.begin()
                change.commit(self._without(name, [version]), "delete", version=version, why=why)
                self._remove(name, [version])

    def delete_model(self, name: str, why: str = "") -> None:
        """Remove every version of a model. Its numbers are never used again. Raises ModelNotFound."""
        with store_errors(self.path):
            self.versions(name)
            with self.change(name) as change:
                versions, stable = self._artifacts.numbers(name), self.state(name).aliases["stable"]
                change.begin()
                # The stable version goes last, so that the model's name answers the same until the model is
                # gone.
                others = [v for v in versions if v != stable]
                change.commit(self._without(name, others), "delete", versions=versions, why=why)
                self._remove(name, others)
                change.set_state(replace(self._without(name, [stable]), aliases={}, traffic=None))
                self._remove(name, [stable])

    def change(self, name: str) -> AbstractContextManager[Change]:
        """Hold the store's lock for one change of one model."""
        return self.registry.change(name)

    # -- inside

    def _without(self, name: str, versions: Sequence[int]) -> State:
        """Return the state of a model without these versions.

        It is written before they are removed: a crash in between would otherwise free their numbers.
        """
        state = self.registry.state(name)
        tags = {tag: version for tag, version in state.tags.items() if version not in versions}
        previous = [version for version in state.previous if version not in versions]
        highest = max([state.highest, *self._artifacts.numbers(name)])
        return replace(state, highest=highest, tags=tags, previous=previous)

    def _remove(self, name: str, versions: Sequence[int]) -> None:
        for version in versions:
            self._artifacts.remove(Version(name, version))
