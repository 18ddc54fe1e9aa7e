"""Versions in memory and in a store are the same kind of record: read, verified and described in the same
way.
"""

from __future__ import annotations

import gc
from dataclasses import replace

import pytest

from models.compiled import ORIGINAL
from models.errors import ArtifactDamaged
from models.golden import GOLDEN
from models.names import Version
from models.record import Record, same_version
from models.runtimes.pickled import ARTIFACT
from models.sameness import ABSOLUTE_TOLERANCE
from models.store import Store
from tests.toys import Counting, directory, summing_draft

DRAFT = summing_draft()


@pytest.fixture
def stored(store: Store) -> Record:
    return store.add(DRAFT.manifest, DRAFT.files)


def test_a_stored_version_has_the_bytes_of_its_draft(stored: Record) -> None:
    assert {path: stored.read(path) for path in stored.files} == {
        path: DRAFT.read(path) for path in DRAFT.files
    }
    assert (str(DRAFT.key), str(stored.key)) == ("toy:0", "toy:1")
    assert stored.key == stored.manifest.key == Version("toy", 1)
    assert repr(DRAFT) == "<toy:0 in memory, tests.toys.Summing>"
    assert repr(stored) == f"<toy:1 in {directory(stored)}, tests.toys.Summing>"


def test_bytes_in_memory_are_verified_like_those_of_a_store() -> None:
    other = replace(DRAFT, manifest=DRAFT.with_files({ARTIFACT: b"other"}).manifest)
    with pytest.raises(ArtifactDamaged, match=r"toy/0/model.joblib has \d+ bytes where 5 were published"):
        other.read(ARTIFACT)
    with pytest.raises(ArtifactDamaged, match="toy/0/lost is missing"):
        DRAFT.read("lost")


def test_golden_rows_are_read_once_for_as_long_as_they_are_held(stored: Record) -> None:
    files = Counting(stored.files)
    record = Record(stored.manifest, files)
    held = record.golden
    assert record.golden is held and files.reads == {GOLDEN: 1}
    del held
    gc.collect()
    (directory(stored) / GOLDEN).write_bytes(b"{}")
    with pytest.raises(ArtifactDamaged, match=r"golden.json has 2 bytes"):
        _ = record.golden


def test_sizes_are_checked_without_reading_a_file(stored: Record) -> None:
    files = Counting(stored.files)
    record = Record(stored.manifest, files)
    record.check_sizes()
    DRAFT.check_sizes()
    assert files.reads == {}
    (directory(stored) / GOLDEN).write_bytes(b"12")
    with pytest.raises(ArtifactDamaged, match=r"toy/1/golden.json has 2 bytes where [\d,]+ were published"):
        record.check_sizes()
    (directory(stored) / GOLDEN).unlink()
    with pytest.raises(ArtifactDamaged, match=r"toy/1/golden.json is missing; publish it again"):
        record.check_sizes()


def test_a_version_exists_until_it_is_deleted(store: Store, stored: Record) -> None:
    assert stored.exists() and DRAFT.exists()
    store.delete_model("toy")
    assert not stored.exists()


def test_added_files_are_recorded_and_the_others_are_kept() -> None:
    more = DRAFT.with_files({"notes.txt": b"some"})
    assert more.read("notes.txt") == b"some" and more.read(ARTIFACT) == DRAFT.read(ARTIFACT)
    assert more.manifest.files[ARTIFACT] is DRAFT.manifest.files[ARTIFACT]
    assert "notes.txt" not in DRAFT.files


def test_versions_are_the_same_that_were_published_together(stored: Record) -> None:
    later = replace(DRAFT, manifest=replace(DRAFT.manifest, published_at="2001-01-01T00:00:00Z"))
    assert same_version(stored, DRAFT) and same_version(None, None)
    assert not same_version(stored, later)
    assert not same_version(stored, DRAFT.with_files({ARTIFACT: b"other"}))
    assert not same_version(stored, None)


def test_a_manifest_says_which_form_serves_and_how_far_it_may_differ() -> None:
    assert (DRAFT.manifest.form, DRAFT.manifest.tolerance) == (ORIGINAL, ABSOLUTE_TOLERANCE)
    compiled = replace(DRAFT.manifest, compiled={"form": "onnx", "tolerance": 1e-5})
    assert (compiled.form, compiled.tolerance) == ("onnx", 1e-5)
    exact = replace(DRAFT.manifest, compiled={"form": "treelite", "tolerance": 0.0})
    assert exact.tolerance == ABSOLUTE_TOLERANCE
