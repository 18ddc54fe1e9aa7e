"""A snapshot of the store, in which a fault of one model does not affect others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.catalog.snapshot import read_snapshot
from models.errors import LoadError, ModelNotFound, StoreUnavailable, VersionNotFound
from models.names import Version
from models.store import Store
from tests.toys import summing_draft


class Deleting(Store):
    """A store in which a version or a model is deleted between two steps of a reader."""

    def versions(self, name: str) -> list[int]:
        if name == "gone":
            raise ModelNotFound(name)
        return [*super().versions(name), 3]

    def names(self) -> list[str]:
        return [*super().names(), "gone"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Models "one" and "two", with two versions each."""
    store = Store(tmp_path / "store")
    for name in ("one", "two"):
        draft = summing_draft(name)
        for _ in range(2):
            store.add(draft.manifest, draft.files)
    return store


def test_a_version_deleted_while_it_is_read_is_left_out(store: Store) -> None:
    snapshot = read_snapshot(Deleting(store.path), "one")
    assert not snapshot.fault
    assert {name: [*model.versions] for name, model in snapshot.models.items()} == {
        "one": [1, 2],
        "two": [1, 2],
    }


@pytest.mark.parametrize("ruin", ["loop", "state"])
def test_a_model_that_cannot_be_read_takes_nothing_else_down(store: Store, ruin: str) -> None:
    if ruin == "loop":
        os.symlink("loop", store.path / "loop")
    else:
        (store.path / "two" / "state.json").unlink()
        (store.path / "two" / "state.json").mkdir()
    snapshot = read_snapshot(store, "one")
    assert snapshot.manifest(snapshot.resolve("one")).version == 1
    name = {"loop": "loop", "state": "two"}[ruin]
    with pytest.raises(LoadError, match=name):
        snapshot.manifest(snapshot.resolve(name, "latest"))


def test_a_store_that_cannot_be_read_is_not_an_empty_one(tmp_path: Path) -> None:
    """It reports no model as missing, and its error names no path of the server."""
    (tmp_path / "file").touch()
    snapshot = read_snapshot(Store(tmp_path / "file"), "one")
    with pytest.raises(StoreUnavailable) as raised:
        snapshot.resolve("one")
    assert str(tmp_path) not in str(raised.value)
    assert str(tmp_path) in snapshot.fault


def test_the_only_model_is_the_default_one(store: Store) -> None:
    assert read_snapshot(store, "two").default == "two"
    assert read_snapshot(store, "three").default is None
    store.delete_model("one")
    assert read_snapshot(store, "three").default == "two"


def test_a_version_is_found_by_number_tag_and_alias(store: Store) -> None:
    store.tag("one", 2, "blue")
    snapshot = read_snapshot(store, "one")
    for selector, version in ((None, 1), ("2", 2), ("blue", 2), ("latest", 2), ("stable", 1)):
        assert snapshot.resolve("one", selector) == Version("one", version)
    for selector in ("3", "red", "02"):
        with pytest.raises(VersionNotFound, match="it has: 1, 2, blue, stable, latest"):
            snapshot.resolve("one", selector)
