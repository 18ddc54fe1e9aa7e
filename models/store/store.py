"""Where versions are kept: add, resolve, list, tag and delete, each one atomic and never torn.

A store has two sides: the registry (state, history, generation, lock) and the artifacts (bytes of versions).
Only this room knows the paths of either.

    <store>/lock                          an flock for every change
    <store>/generation                    a number that grows when a change begins; all that a worker watches
    <store>/<name>/state.json             aliases, tags, the highest version number given
    <store>/<name>/history.jsonl          one line a change: when, who, what, why
    <store>/<name>/<version>/             manifest.json and the files it records; never changed again

A person who can write the store can run code in the server: digests guard against damage, not against an
author. With a key, manifests carry an HMAC, and a version without a valid one is neither loaded nor listed as
whole.
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
    """A directory of models. Nothing is created before the first change; every reader works on a read-only disk."""

    def __init__(self, path: str | Path, *, key: bytes | None = None, files: Files | None = None) -> None:
        self.path = Path(path)
        self.key = key
        files = files or Files()
        self.registry = Registry(self.path, files)
        self._artifacts = Artifacts(self.path, key, files)

    # -- reading

    def generation(self) -> str:
        """A text that differs as soon as the store begins to change; read what changed when it is
        ``at_rest``.
        """
        return self.registry.generation()

    def at_rest(self) -> bool:
        """Whether no change is under way: everything that ``generation`` said before this call stands for is done."""
        return self.registry.at_rest()

    def names(self) -> list[str]:
        """The models that have at least one version, sorted."""
        with store_errors(self.path):
            found = self._artifacts.names()
        return sorted(name for name in found if self._holds(name))

    def _holds(self, name: str) -> bool:
        """Whether the model has a version; one that cannot be read is not passed over in silence."""
        try:
            return bool(self._artifacts.numbers(name))
        except (StoreUnavailable, OSError):
            return True

    def versions(self, name: str) -> list[int]:
        """The version numbers of a model, ascending; raises ModelNotFound or InvalidName."""
        found = self._artifacts.numbers(check_model_name(name))
        if not found:
            raise ModelNotFound(name, self.names())
        return found

    def state(self, name: str) -> State:
        """Aliases and tags of a model; ``stable`` is its lowest version until something else was promoted."""
        versions = self.versions(name)
        state = self.registry.state(name)
        return replace(state, aliases={"stable": versions[0], **state.aliases})

    def selectors(self, name: str) -> dict[str, int]:
        """Everything but a number that picks a version of the model: tags, aliases and ``latest``."""
        return self.state(name).selectors(self.versions(name)[-1])

    def resolve(self, name: str, selector: str = "stable") -> int:
        """The version that a number, tag or alias names; raises ModelNotFound, VersionNotFound, InvalidName."""
        versions, selectors = self.versions(name), self.selectors(name)
        number = version_number(selector)
        found = selectors.get(selector) if number is None else number
        if found not in versions:
            raise VersionNotFound(name, selector, [*map(str, versions), *selectors])
        return found

    def resolve_reference(self, reference: str) -> tuple[str, int]:
        """``name``, ``name:3`` or ``name:tag`` -> name and version."""
        name, selector = split_reference(reference)
        return name, self.resolve(name, selector)

    def get(self, name: str, version: int) -> Record:
        """A version with its manifest read and, if the store has a key, its signature checked.

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
        """The manifest of a version as it was written, and its signature if it has one, by their file names.

        Raises OSError.
        """
        return self._artifacts.sealed_manifest(version)

    def history(self, name: str) -> list[dict[str, Any]]:
        """Every change of the model, oldest first."""
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
        """Write a version under the next free number. ``manifest.files`` must be the records of ``files``."""
        recorded = {path: record.size_bytes for path, record in manifest.files.items()}
        if recorded != {path: len(data) for path, data in files.items()}:
            raise PublishError("the manifest does not record the files that it comes with")
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
        """Let a tag name the version; returns the new generation. Raises VersionNotFound or InvalidName."""
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
        """Remove a version and its tags; its number is never given again.

        Raises VersionNotFound, or Conflict when an alias or the traffic rule names it.
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
        """Remove every version of a model; its numbers are never given again. Raises ModelNotFound."""
        with store_errors(self.path):
            self.versions(name)
            with self.change(name) as change:
                versions, stable = self._artifacts.numbers(name), self.state(name).aliases["stable"]
                change.begin()
                # Stable goes last: until the model is gone its name keeps answering with the same version.
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
        """The state of a model that loses these versions. It is set before they go: were their numbers not on
        record, a crash between would free them.
        """
        state = self.registry.state(name)
        tags = {tag: version for tag, version in state.tags.items() if version not in versions}
        previous = [version for version in state.previous if version not in versions]
        highest = max([state.highest, *self._artifacts.numbers(name)])
        return replace(state, highest=highest, tags=tags, previous=previous)

    def _remove(self, name: str, versions: Sequence[int]) -> None:
        for version in versions:
            self._artifacts.remove(Version(name, version))
