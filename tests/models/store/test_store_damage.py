"""Damaged, swapped and unsigned versions are reported and never unpickled."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from models.errors import ArtifactDamaged, ArtifactUnsigned, LibraryMismatch, LoadError
from models.manifest import MANIFEST, MANIFEST_SIGNATURE, sealed
from models.record import Record
from models.runtimes.loading import load_version
from models.runtimes.pickled import ARTIFACT
from models.store import Store
from tests.toys import canary_draft, directory, summing_draft

KEY, OTHER_KEY = b"k" * 32, b"o" * 32


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def flip_last_bit(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def append(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\0")


def empty(file: Path) -> None:
    file.write_bytes(b"")


def link_to_the_same_bytes(file: Path) -> None:
    moved = file.parent.parent / "moved"
    file.rename(moved)
    file.symlink_to(moved)


def replace_by_a_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


DAMAGES = [
    truncate,
    flip_last_bit,
    append,
    empty,
    Path.unlink,
    link_to_the_same_bytes,
    replace_by_a_directory,
]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Return a file that exists as soon as the canary was unpickled."""
    return tmp_path / "unpickled"


@pytest.fixture
def canary(store: Store, trace: Path) -> Record:
    draft = canary_draft(trace)
    return store.add(draft.manifest, draft.files)


def edit_manifest(version: Record, edit: Callable[[dict[str, Any]], Any]) -> None:
    data = orjson.loads((directory(version) / MANIFEST).read_bytes())
    edit(data)
    (directory(version) / MANIFEST).write_bytes(sealed(data))


def one_line(error: BaseException) -> str:
    assert "\n" not in str(error)
    return str(error)


def test_the_canary_sings_when_it_is_unpickled(canary: Record, trace: Path) -> None:
    """The tests below would otherwise prove nothing."""
    with pytest.raises(LoadError, match=r"has no predict\(\)"):
        load_version(canary)
    assert trace.exists()


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_artifact_is_never_unpickled(
    store: Store, canary: Record, trace: Path, damage: Callable[[Path], None]
) -> None:
    damage(directory(canary) / ARTIFACT)
    with pytest.raises(ArtifactDamaged) as damaged:
        load_version(store.get("toy", 1))
    assert one_line(damaged.value).startswith("toy/1/model.joblib ")
    assert one_line(damaged.value).endswith("; publish it again")
    assert not trace.exists()


def test_an_artifact_of_another_version_is_never_unpickled(store: Store, trace: Path) -> None:
    whole, canary = summing_draft(), canary_draft(trace)
    first, second = (store.add(draft.manifest, draft.files) for draft in (whole, canary))
    shutil.copy(directory(second) / ARTIFACT, directory(first) / ARTIFACT)
    with pytest.raises(ArtifactDamaged, match=r"toy/1/model\.joblib"):
        load_version(store.get("toy", 1))
    assert not trace.exists()


@pytest.mark.parametrize("damage", DAMAGES)
def test_nothing_is_unpickled_when_the_golden_rows_are_damaged(
    store: Store, canary: Record, trace: Path, damage: Callable[[Path], None]
) -> None:
    damage(directory(canary) / "golden.json")
    with pytest.raises(ArtifactDamaged, match=r"toy/1/golden\.json"):
        load_version(store.get("toy", 1))
    assert not trace.exists()


def test_damage_is_named_as_damage_also_under_other_libraries(store: Store) -> None:
    """Installing other libraries would not repair it."""
    version = store.add(summing_draft().manifest, summing_draft().files)
    edit_manifest(version, lambda m: m["libraries"].update(numpy="1.0"))
    truncate(directory(version) / ARTIFACT)
    with pytest.raises(ArtifactDamaged) as damaged:
        load_version(store.get("toy", 1))
    assert not isinstance(damaged.value, LibraryMismatch)


@pytest.mark.parametrize(
    "garbage",
    [b"", b"{", b"[]", b"null", b"{}", b'{"format": 1}', b"\xff\xfe", b"[" * 10_000, b"x" * (9 * 2**20)],
)
def test_a_manifest_that_is_none_is_named(store: Store, canary: Record, garbage: bytes) -> None:
    (directory(canary) / MANIFEST).write_bytes(garbage)
    with pytest.raises(ArtifactDamaged) as damaged:
        store.get("toy", 1)
    assert one_line(damaged.value).startswith("toy/1/manifest.json ")


@pytest.mark.parametrize("damage", [Path.unlink, link_to_the_same_bytes, replace_by_a_directory, truncate])
def test_a_manifest_that_cannot_be_read_is_named(
    store: Store, canary: Record, damage: Callable[[Path], None]
) -> None:
    damage(directory(canary) / MANIFEST)
    with pytest.raises(ArtifactDamaged, match=r"toy/1/manifest\.json "):
        store.get("toy", 1)


@pytest.mark.parametrize(
    "edit",
    [
        lambda m: m.update(format=2),
        lambda m: m.update(colour="red"),
        lambda m: m.pop("framework"),
        lambda m: m["signature"].update(columns=[]),
        lambda m: m["signature"]["output"].update(kind="poem"),
        lambda m: m.update(metrics="0.9"),
        lambda m: m.update(example=[]),
        lambda m: m.update(libraries={"numpy": 2}),
        lambda m: m.update(metrics={"accuracy": "high"}),
        lambda m: m.update(frame=[["a"]]),
        lambda m: m.update(trained_at=1714564800),
        lambda m: m["files"].update({"more": {"sha256": 1, "size_bytes": 1}}),
        lambda m: m["files"].update({"more": {"sha256": "00", "size_bytes": -1}}),
        lambda m: m["files"].update({"../state.json": {"sha256": "00", "size_bytes": 1}}),
        lambda m: m["files"].update({"/etc/passwd": {"sha256": "00", "size_bytes": 1}}),
        lambda m: m["files"].update({"code/./a.py": {"sha256": "00", "size_bytes": 1}}),
    ],
)
def test_a_manifest_with_other_contents_is_not_believed(
    store: Store, canary: Record, edit: Callable[[dict[str, Any]], Any]
) -> None:
    edit_manifest(canary, edit)
    with pytest.raises(ArtifactDamaged, match=r"toy/1/manifest\.json is "):
        store.get("toy", 1)


def test_no_bit_of_a_manifest_flips_unseen(store: Store) -> None:
    """A name with one changed letter would turn valid requests into faults, so the manifest has a digest of
    its own.
    """
    draft = summing_draft()
    version = store.add(draft.manifest, draft.files)
    whole = (directory(version) / MANIFEST).read_bytes()
    said = orjson.loads(whole)
    for at in range(0, len(whole), 7):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << (at % 8)
        (directory(version) / MANIFEST).chmod(0o644)
        (directory(version) / MANIFEST).write_bytes(flipped)
        try:
            store.get("toy", 1)
        except ArtifactDamaged:
            continue
        assert orjson.loads(flipped) == said, "only the layout may change: a blank for a tab"


def test_a_version_moved_to_another_place_is_not_believed(store: Store) -> None:
    draft = summing_draft()
    version = store.add(draft.manifest, draft.files)
    shutil.copytree(directory(version), store.path / "toy" / "2")
    shutil.copytree(directory(version), store.path / "boy" / "1")
    with pytest.raises(
        ArtifactDamaged, match=r"toy/2/manifest\.json belongs to toy:1; publish the version again"
    ):
        store.get("toy", 2)
    with pytest.raises(ArtifactDamaged, match=r"boy/1/manifest\.json belongs to toy:1"):
        store.get("boy", 1)


def test_a_file_that_was_not_recorded_is_not_read(store: Store, canary: Record) -> None:
    (directory(canary) / "more.txt").write_text("more")
    with pytest.raises(ArtifactDamaged, match=r"toy/1/more\.txt is missing"):
        canary.read("more.txt")


def test_a_key_signs_what_is_published_and_is_asked_for_at_every_reading(tmp_path: Path) -> None:
    draft = summing_draft()
    signed = Store(tmp_path / "store", key=KEY)
    signed.add(draft.manifest, draft.files)
    assert load_version(signed.get("toy", 1))
    assert load_version(Store(signed.path).get("toy", 1)), "without a key signatures are not looked at"
    with pytest.raises(
        ArtifactUnsigned, match=r"toy/1/manifest\.json has no valid signature for this store's key"
    ):
        Store(signed.path, key=OTHER_KEY).get("toy", 1)


def test_an_unsigned_version_is_not_loaded_under_a_key(store: Store, canary: Record, trace: Path) -> None:
    with pytest.raises(ArtifactUnsigned, match="publish it again with the key"):
        Store(store.path, key=KEY).get("toy", 1)
    assert not trace.exists()


def test_a_signature_holds_for_one_manifest_in_one_place(tmp_path: Path, trace: Path) -> None:
    store = Store(tmp_path / "store", key=KEY)
    draft = canary_draft(trace)
    first = store.add(draft.manifest, draft.files)
    second = store.add(draft.manifest, draft.files)
    shutil.copy(directory(second) / MANIFEST_SIGNATURE, directory(first) / MANIFEST_SIGNATURE)
    with pytest.raises(ArtifactUnsigned):
        store.get("toy", 1)
    shutil.copy(directory(second) / MANIFEST, directory(first) / MANIFEST)
    with pytest.raises(ArtifactDamaged, match="belongs to toy:2"):
        store.get("toy", 1)
    edit_manifest(second, lambda m: m.update(description="better"))
    with pytest.raises(ArtifactUnsigned):
        store.get("toy", 2)
    (directory(second) / MANIFEST_SIGNATURE).write_bytes(b"\xff" * 2**20)
    with pytest.raises(ArtifactUnsigned):
        store.get("toy", 2)
    assert not trace.exists()


def test_one_damaged_version_leaves_the_others_alone(store: Store) -> None:
    draft = summing_draft()
    versions = [store.add(draft.manifest, draft.files) for _ in range(2)]
    (directory(versions[0]) / MANIFEST).write_bytes(b"{")
    assert store.versions("toy") == [1, 2]
    assert load_version(store.get("toy", 2))


def test_a_pickle_that_fails_is_one_line(store: Store) -> None:
    draft = summing_draft().with_files({ARTIFACT: b"\x80\x04no pickle"})
    version = store.add(draft.manifest, draft.files)
    with pytest.raises(LoadError, match="the artifact cannot be unpickled: "):
        load_version(version)
