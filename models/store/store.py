"""Where versions are kept: publish, resolve, list, tag and delete, each one atomic and never torn.

    <store>/lock                          an flock for every change
    <store>/generation                    a number that grows when a change begins; all that a worker watches
    <store>/<name>/state.json             aliases, tags, the highest version number given
    <store>/<name>/history.jsonl          one line a change: when, who, what, why
    <store>/<name>/<version>/             manifest.json and the files it records; never changed again

Whoever can write the store can run code in the server: digests guard against damage, not against an author. With a
key, manifests carry an HMAC, and a version without a valid one is neither loaded nor listed as whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from models.manifest import MANIFEST, MANIFEST_SIGNATURE, Manifest, sign
from models.names import (
    Version,
    check_model_name,
    check_tag,
    check_tags,
    split_reference,
    version_number,
)
from models.record import Record
from models.store.files import Files, is_locked, store_errors
from models.store.staging import put_aside, staged
from models.store.state import Change, State, held_by, read_generation, read_history, read_state
from models.store.stored import Known, read_version, stored


class Store:
    """A directory of models. Nothing is created before the first change; every reader works on a read-only disk."""

    def __init__(self, path: str | Path, *, key: bytes | None = None, files: Files | None = None) -> None:
        self.path = Path(path)
        self.key = key
        self.files = files or Files()
        self._known: Known = {}

    # -- reading ------------------------------------------------------------------------------------------------

    def generation(self) -> str:
        """A text that differs as soon as the store begins to change; read what changed when it is ``at_rest``."""
        return read_generation(self.path)

    def at_rest(self) -> bool:
        """Whether no change is under way: everything that ``generation`` said before this call stands for is done."""
        return not is_locked(self.path / "lock")

    def names(self) -> list[str]:
        """The models that have at least one version, sorted."""
        with store_errors(self.path):
            if not self.path.exists():
                return []
            found = [p.name for p in self.path.iterdir() if re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", p.name)]
        return sorted(name for name in found if self._holds(name))

    def _holds(self, name: str) -> bool:
        """Whether the model has a version; one that cannot be read is not passed over in silence."""
        try:
            return bool(self._versions(name))
        except (StoreUnavailable, OSError):
            return True

    def versions(self, name: str) -> list[int]:
        """The version numbers of a model, ascending; raises ModelNotFound or InvalidName."""
        found = self._versions(check_model_name(name))
        if not found:
            raise ModelNotFound(name, self.names())
        return found

    def state(self, name: str) -> State:
        """Aliases and tags of a model; ``stable`` is its lowest version until something else was promoted."""
        versions = self.versions(name)
        state = read_state(self.path / name)
        return replace(state, aliases={"stable": versions[0], **state.aliases})

    def selectors(self, name: str) -> dict[str, int]:
        """Everything but a number that picks a version of the model: tags, aliases and ``latest``."""
        return self.state(name).selectors(self.versions(name)[-1])

    def resolve(self, name: str, selector: str = "stable") -> int:
        """The version that a number, tag or alias names; raises ModelNotFound, VersionNotFound or InvalidName."""
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
        path = self.path / check_model_name(name) / str(version)
        try:
            return read_version(path, name, version, self.key, self._known)
        except OSError as error:
            if not path.is_dir():
                raise VersionNotFound(name, str(version), map(str, self.versions(name))) from error
            raise ArtifactDamaged(
                f"{name}/{version}/{MANIFEST} cannot be read ({error.strerror}); publish the version again"
            ) from error

    def sealed_manifest(self, version: Version) -> dict[str, bytes]:
        """The manifest of a version as it was written, and its signature if it has one, by the names of their files.

        Raises OSError.
        """
        path = self.path / version.name / str(version.number)
        files = (path / file for file in (MANIFEST, MANIFEST_SIGNATURE))
        return {file.name: file.read_bytes() for file in files if file.exists()}

    def history(self, name: str) -> list[dict[str, Any]]:
        """Every change of the model, oldest first."""
        return read_history(self.path / check_model_name(name))

    # -- changing -----------------------------------------------------------------------------------------------

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
        name = manifest.name
        directory = self.path / check_model_name(name)
        with store_errors(self.path), staged(self.files, self.path, name) as staging:
            for path, data in files.items():
                self.files.write(staging / path, data)
            with self.change(name) as change:
                state = read_state(directory)
                number = max([state.highest, *self._versions(name)]) + 1
                manifest = replace(manifest, version=number)
                raw = manifest.to_bytes()
                self.files.write(staging / MANIFEST, raw)
                if self.key is not None:
                    self.files.write(staging / MANIFEST_SIGNATURE, sign(raw, self.key))
                self.files.sync_tree(staging)
                change.begin()
                self.files.rename(staging, directory / str(number))
                aliases = {"stable": self._versions(name)[0], **state.aliases}
                named = state.tags | dict.fromkeys(tags, number)
                changed = replace(state, highest=number, aliases=aliases, tags=named)
                change.commit(changed, what, version=number, tags=list(tags))
        return stored(directory / str(number), manifest)

    def tag(self, name: str, version: int, tag: str, why: str = "", who: str = "") -> str:
        """Let a tag name the version; returns the new generation. Raises VersionNotFound or InvalidName."""
        check_tag(tag)
        with store_errors(self.path):
            self.versions(name)
            with self.change(name) as change:
                if version not in self._versions(name):
                    raise VersionNotFound(name, str(version), map(str, self.versions(name)))
                generation, state = change.begin(), read_state(self.path / name)
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
                if version not in self._versions(name):
                    raise VersionNotFound(name, str(version), map(str, self.versions(name)))
                if held := " and ".join(held_by(self.state(name), version)):
                    way_out = "move that to another version first, or delete the whole model"
                    raise Conflict(f"{name}:{version} is {held}; {way_out}")
                change.begin()
                change.commit(self._without(name, [version]), "delete", version=version, why=why)
                self._remove(name, [version])

    def delete_model(self, name: str, why: str = "") -> None:
        """Remove every version of a model; its numbers are never given again. Raises ModelNotFound."""
        with store_errors(self.path):
            self.versions(name)
            with self.change(name) as change:
                versions, stable = self._versions(name), self.state(name).aliases["stable"]
                change.begin()
                # Stable goes last: until the model is gone its name keeps answering with the same version.
                others = [v for v in versions if v != stable]
                change.commit(self._without(name, others), "delete", versions=versions, why=why)
                self._remove(name, others)
                change.set_state(replace(self._without(name, [stable]), aliases={}, traffic=None))
                self._remove(name, [stable])

    @contextmanager
    def change(self, name: str) -> Iterator[Change]:
        """Hold the store's lock for one change of one model."""
        self.files.make_dir(self.path)
        with self.files.locked(self.path / "lock"):
            yield Change(self.files, self.path, name)

    # -- inside -------------------------------------------------------------------------------------------------

    def _versions(self, name: str) -> list[int]:
        with store_errors(self.path):
            try:
                entries = list((self.path / name).iterdir())
            except (FileNotFoundError, NotADirectoryError):
                return []
        return sorted(n for e in entries if (n := version_number(e.name)) is not None and e.is_dir())

    def _without(self, name: str, versions: Sequence[int]) -> State:
        """The state of a model that loses these versions. It is set before they go: were their numbers not on record, a
        crash between would free them."""
        state = read_state(self.path / name)
        tags = {tag: version for tag, version in state.tags.items() if version not in versions}
        previous = [version for version in state.previous if version not in versions]
        highest = max([state.highest, *self._versions(name)])
        return replace(state, highest=highest, tags=tags, previous=previous)

    def _remove(self, name: str, versions: Sequence[int]) -> None:
        for version in versions:
            self.files.remove_tree(put_aside(self.files, self.path / name / str(version)))
