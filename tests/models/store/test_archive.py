"""A version is exported and imported as one file, complete and signed, or not at all."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from models.errors import ArchiveRefused, ArtifactDamaged, ArtifactUnsigned, VersionNotFound
from models.manifest import MANIFEST, MANIFEST_SIGNATURE
from models.runtimes.loading import load_version
from models.store import Store
from models.store.archive import export_version, import_version
from tests.models.packing import members_of, pack, packed_toy, refused
from tests.toys import canary_draft, directory, summing_draft

KEY, OTHER_KEY = b"k" * 32, b"o" * 32


@pytest.fixture
def whole(store: Store, tmp_path: Path) -> Path:
    return packed_toy(store, tmp_path / "toy.tar.gz")


@pytest.fixture
def other(tmp_path: Path) -> Store:
    return Store(tmp_path / "other")


def test_a_version_comes_back_under_a_new_number(whole: Path, store: Store, other: Store) -> None:
    imported = import_version(other, whole, tags=["1.0.0"])
    assert (imported.manifest.name, imported.manifest.version) == ("toy", 1)
    assert import_version(other, whole).manifest.version == 2
    assert import_version(other, whole, "boy").manifest.name == "boy"
    assert other.selectors("toy") == {"1.0.0": 1, "stable": 1, "latest": 2}
    assert other.history("toy")[0]["what"] == "import"
    original = store.get("toy", 1)
    for version in (imported, other.get("toy", 2), other.get("boy", 1)):
        assert {p: version.read(p) for p in version.manifest.files} == {
            p: original.read(p) for p in original.manifest.files
        }
        assert version.manifest.published_at == original.manifest.published_at
        assert load_version(version)


def test_the_same_version_makes_the_same_bytes(whole: Path, store: Store, tmp_path: Path) -> None:
    export_version(store, "toy", 1, tmp_path / "again.gz")
    assert (tmp_path / "again.gz").read_bytes() == whole.read_bytes()
    assert whole.read_bytes()[4:8] == bytes(4), "the time of packing is not in it (RFC 1952)"
    assert [name for name, _ in members_of(whole)] == [
        MANIFEST,
        "golden.json",
        "model.joblib",
        "reference.json",
    ]


def test_code_travels_along(store: Store, other: Store, tmp_path: Path) -> None:
    draft = summing_draft().with_files({"code/own/deep/module.py": b"x = 1", "code/own/__init__.py": b""})
    store.add(draft.manifest, draft.files)
    export_version(store, "toy", 1, tmp_path / "toy.tar.gz")
    assert import_version(other, tmp_path / "toy.tar.gz").read("code/own/deep/module.py") == b"x = 1"


def test_a_damaged_version_is_not_exported(store: Store, tmp_path: Path) -> None:
    draft = summing_draft()
    version = store.add(draft.manifest, draft.files)
    (directory(version) / "model.joblib").write_bytes(b"x")
    file = tmp_path / "toy.tar.gz"
    file.write_bytes(b"the archive of last week")
    with pytest.raises(ArtifactDamaged):
        export_version(store, "toy", 1, file)
    with pytest.raises(VersionNotFound):
        export_version(store, "toy", 2, file)
    assert file.read_bytes() == b"the archive of last week"
    assert [p.name for p in tmp_path.iterdir() if p != store.path] == [file.name]


def test_a_place_that_cannot_be_written_is_one_line(whole: Path, store: Store, tmp_path: Path) -> None:
    with pytest.raises(
        ArchiveRefused, match=r"none/toy\.tar\.gz cannot be written: no such file or directory"
    ):
        export_version(store, "toy", 1, tmp_path / "none" / "toy.tar.gz")
    draft = summing_draft().with_files({"code/" + "long/" * 80 + "a.py": b""})
    store.add(draft.manifest, draft.files)
    with pytest.raises(
        ArchiveRefused,
        match="toy:2 does not fit into an archive: name is too long; publish it again with shorter",
    ):
        export_version(store, "toy", 2, tmp_path / "long.tar.gz")
    assert {p.name for p in tmp_path.iterdir()} == {"store", whole.name}


def test_importing_never_unpickles(store: Store, other: Store, tmp_path: Path) -> None:
    draft = canary_draft(tmp_path / "unpickled")
    store.add(draft.manifest, draft.files)
    export_version(store, "toy", 1, tmp_path / "toy.tar.gz")
    import_version(other, tmp_path / "toy.tar.gz")
    assert not (tmp_path / "unpickled").exists()


def test_a_store_with_a_key_takes_only_what_was_signed_with_it_and_signs_it_again(
    tmp_path: Path, whole: Path
) -> None:
    signed, target = Store(tmp_path / "signed", key=KEY), Store(tmp_path / "target", key=KEY)
    draft = summing_draft()
    signed.add(draft.manifest, draft.files)
    export_version(signed, "toy", 1, tmp_path / "signed.tar.gz")
    members = members_of(tmp_path / "signed.tar.gz")
    assert [name for name, _ in members][:2] == [MANIFEST, MANIFEST_SIGNATURE]

    forged = orjson.dumps({**orjson.loads(members[0][1]), "description": "better"})
    refused(target, pack(tmp_path / "forged.tar.gz", [(MANIFEST, forged), *members[1:]]))
    refused(
        target, pack(tmp_path / "huge.tar.gz", [members[0], (MANIFEST_SIGNATURE, b"0" * 2000), *members[2:]])
    )
    assert "is not signed with this store's key" in refused(target, whole)
    assert "is not signed with this store's key" in refused(
        Store(tmp_path / "third", key=OTHER_KEY), tmp_path / "signed.tar.gz"
    )

    imported = import_version(target, tmp_path / "signed.tar.gz", "boy")
    assert load_version(target.get("boy", 1)) and imported.manifest.name == "boy"
    with pytest.raises(ArtifactUnsigned):
        Store(target.path, key=OTHER_KEY).get("boy", 1)
    assert import_version(Store(tmp_path / "keyless"), tmp_path / "signed.tar.gz").manifest.version == 1
    assert not (tmp_path / "keyless" / "toy" / "1" / MANIFEST_SIGNATURE).exists()
