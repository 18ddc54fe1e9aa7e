"""The store's promises about versions, tags and aliases."""

from __future__ import annotations

import errno
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from models.errors import (
    ArtifactDamaged,
    Conflict,
    InvalidName,
    ModelNotFound,
    PublishError,
    StoreUnavailable,
    VersionNotFound,
)
from models.publishing import publish
from models.record import Record
from models.store import Store
from models.store.files import Files
from tests.toys import Summing, summing_draft

DRAFT = summing_draft()


def add(store: Store, times: int = 1, draft: Record = DRAFT, **options: Any) -> list[int]:
    return [store.add(draft.manifest, draft.files, **options).manifest.version for _ in range(times)]


def everything_below(path: Path) -> dict[Path, bytes | None]:
    return {p: p.read_bytes() if p.is_file() else None for p in path.rglob("*")}


class FullDisk(Files):
    """File operations that fail, like on a full or read-only disk."""

    def refuse(self, path: Path, *args: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    make_dir = write = sync_tree = rename = replace = append_line = remove_tree = remove_file = refuse

    @contextmanager
    def locked(self, path: Path, *, wait: bool = True) -> Iterator[bool]:
        self.refuse(path)
        yield False


def test_versions_count_from_1_and_the_first_is_stable(store: Store) -> None:
    assert add(store, 3) == [1, 2, 3]
    assert store.names() == ["toy"]
    assert store.versions("toy") == [1, 2, 3]
    assert store.selectors("toy") == {"stable": 1, "latest": 3}
    assert [store.resolve("toy", s) for s in ("stable", "latest", "2")] == [1, 3, 2]
    assert store.resolve_reference("toy:latest") == ("toy", 3)
    assert store.resolve_reference("toy") == ("toy", 1)


def test_a_version_is_what_was_published(store: Store) -> None:
    published = publish(store, "sum", Summing(), [[1.0, 2.0]], description="adds", tags=["1.0.0"])
    assert store.get("sum", 1) == published
    assert (published.manifest.name, published.manifest.version) == ("sum", 1)
    assert published.manifest.description == "adds"
    assert {path: published.read(path) for path in published.manifest.files}.keys() == {
        "model.joblib",
        "golden.json",
        "reference.json",
    }


def test_what_does_not_exist_is_named_with_what_does(store: Store) -> None:
    with pytest.raises(ModelNotFound, match="no model called 'toy'; the store is empty") as nothing:
        store.versions("toy")
    assert nothing.value.available == ()
    add(store, 2, tags=["good"])
    with pytest.raises(ModelNotFound, match="no model called 'boy'; the store has: toy"):
        store.resolve("boy")
    with pytest.raises(VersionNotFound) as missing:
        store.resolve("toy", "best")
    assert missing.value.available == ("1", "2", "good", "stable", "latest")
    for number in (3, 0, 10**12):
        with pytest.raises(VersionNotFound):
            store.resolve("toy", str(number))
    with pytest.raises(VersionNotFound):
        store.get("toy", 3)
    for wrong in ("Toy", "../toy", ""):
        with pytest.raises(InvalidName):
            store.versions(wrong)


def test_a_tag_names_one_version_and_can_be_moved(store: Store) -> None:
    add(store, 2, tags=["1.0.0"])
    assert store.state("toy").tags == {"1.0.0": 2}
    store.tag("toy", 1, "1.0.0", why="rebuilt")
    store.tag("toy", 2, "blue")
    assert store.selectors("toy") == {"1.0.0": 1, "blue": 2, "stable": 1, "latest": 2}
    with pytest.raises(VersionNotFound):
        store.tag("toy", 3, "blue")
    with pytest.raises(ModelNotFound):
        store.tag("boy", 1, "blue")


@pytest.mark.parametrize("tag", ["stable", "latest", "canary", "7", "Blue", ""])
def test_a_tag_that_could_be_mistaken_is_refused(store: Store, tag: str) -> None:
    add(store)
    before = everything_below(store.path)
    with pytest.raises(InvalidName):
        store.tag("toy", 1, tag)
    with pytest.raises(InvalidName):
        add(store, tags=[tag])
    assert everything_below(store.path) == before


def test_a_deleted_version_takes_its_tags_along_and_its_number_is_never_given_again(store: Store) -> None:
    add(store, 3, tags=["newest"])
    store.delete("toy", 3, why="broken")
    assert store.selectors("toy") == {"stable": 1, "latest": 2}
    with pytest.raises(VersionNotFound):
        store.resolve("toy", "newest")
    with pytest.raises(VersionNotFound):
        store.delete("toy", 3)
    assert add(store) == [4]
    assert not (store.path / "toy" / "3").exists()


def test_a_number_that_its_publisher_did_not_live_to_record_is_not_given_again_either(store: Store) -> None:
    add(store)
    state = (store.path / "toy" / "state.json").read_bytes()
    add(store)
    (store.path / "toy" / "state.json").write_bytes(state)
    store.delete("toy", 2)
    assert add(store) == [3]


def test_the_stable_version_cannot_be_deleted(store: Store) -> None:
    add(store, 2)
    with pytest.raises(Conflict, match="toy:1 is stable; move that to another version first"):
        store.delete("toy", 1)
    assert store.versions("toy") == [1, 2]


def test_a_deleted_model_starts_with_a_new_number_and_is_stable_again(store: Store) -> None:
    add(store, 2, tags=["old"])
    store.delete_model("toy")
    assert store.names() == []
    with pytest.raises(ModelNotFound):
        store.state("toy")
    with pytest.raises(ModelNotFound):
        store.delete_model("toy")
    assert add(store, 2) == [3, 4]
    assert store.selectors("toy") == {"stable": 3, "latest": 4}


def test_models_do_not_share_numbers_tags_or_history(store: Store) -> None:
    add(store, 2, tags=["a"])
    add(store, draft=summing_draft("boy"))
    assert store.names() == ["boy", "toy"]
    assert store.selectors("boy") == {"stable": 1, "latest": 1}
    assert len(store.history("boy")) == 1


def test_every_change_is_in_the_history_with_who_and_why(store: Store) -> None:
    add(store, tags=["a"])
    add(store)
    store.tag("toy", 2, "a", why="better")
    store.delete("toy", 2, why="worse")
    history = store.history("toy")
    assert [(h["what"], h.get("version"), h.get("why")) for h in history] == [
        ("publish", 1, None),
        ("publish", 2, None),
        ("tag", 2, "better"),
        ("delete", 2, "worse"),
    ]
    assert history[0]["tags"] == ["a"]
    assert (history[2]["tag"], history[2]["before"]) == ("a", 1)
    assert all(h["who"] and h["when"].endswith("Z") for h in history)
    assert history == sorted(history, key=lambda h: h["when"])


def test_a_line_of_the_history_that_was_cut_short_spoils_only_itself(store: Store) -> None:
    add(store)
    with open(store.path / "toy" / "history.jsonl", "ab") as file:
        file.write(b'{"when": "2024-')
    add(store)
    assert [h["version"] for h in store.history("toy")] == [1, 2]


def test_one_generation_moves_with_every_change_anywhere(store: Store) -> None:
    seen = [store.generation()]
    changes = [
        lambda: add(store, 2),
        lambda: add(store, draft=summing_draft("boy")),
        lambda: store.tag("toy", 1, "a"),
        lambda: store.delete("toy", 2),
        lambda: store.delete_model("boy"),
    ]
    for change in changes:
        change()
        assert Store(store.path).generation() not in seen
        seen.append(store.generation())


def test_reading_creates_nothing(store: Store) -> None:
    assert store.names() == []
    assert store.generation() == "0"
    assert store.history("toy") == []
    for change in (
        lambda: store.tag("toy", 1, "a"),
        lambda: store.delete("toy", 1),
        lambda: store.delete_model("toy"),
    ):
        with pytest.raises(ModelNotFound):
            change()
    assert not store.path.exists()


def test_everything_can_be_read_from_a_disk_that_cannot_be_written(store: Store) -> None:
    add(store, tags=["a"])
    before = everything_below(store.path)
    reader = Store(store.path, files=FullDisk())
    assert reader.names() == ["toy"]
    assert reader.resolve("toy", "a") == 1
    assert reader.get("toy", 1).read("golden.json")
    assert len(reader.history("toy")) == 1
    for change in (
        lambda: add(reader),
        lambda: reader.tag("toy", 1, "b"),
        lambda: reader.delete_model("toy"),
    ):
        with pytest.raises(StoreUnavailable, match=r"the store .* cannot be used: .*: read-only file system"):
            change()
    assert everything_below(store.path) == before


@pytest.mark.parametrize(
    ("inside", "use"),
    [
        (".", lambda store: store.names()),
        (".", add),
        ("toy", add),
        ("toy", lambda store: store.history("toy")),
        ("toy/state.json", lambda store: store.state("toy")),
        ("toy/history.jsonl", lambda store: store.history("toy")),
        ("generation", lambda store: store.generation()),
        ("lock", add),
    ],
)
def test_a_file_where_a_directory_belongs_or_the_other_way_round(
    store: Store, tmp_path: Path, inside: str, use: Callable[[Store], Any]
) -> None:
    add(store)
    wrong = store.path / inside
    is_file = wrong.is_file()
    wrong.rename(tmp_path / "moved")
    if is_file:
        wrong.mkdir()
    else:
        wrong.touch()
    with pytest.raises(StoreUnavailable) as unavailable:
        use(store)
    assert "\n" not in str(unavailable.value)


def test_a_damaged_state_is_named_and_not_overwritten(store: Store) -> None:
    add(store)
    for garbage in (b"", b"[]", b'{"highest": 1, "colour": 2}', b'{"highest": "1"}', b'{"tags": [1]}'):
        (store.path / "toy" / "state.json").write_bytes(garbage)
        for use in (lambda: store.state("toy"), lambda: add(store)):
            with pytest.raises(ArtifactDamaged, match=r"toy/state\.json is damaged; restore it"):
                use()
        assert (store.path / "toy" / "state.json").read_bytes() == garbage


def test_files_that_are_not_the_recorded_ones_are_not_added(store: Store) -> None:
    with pytest.raises(PublishError, match="does not record exactly the files"):
        store.add(DRAFT.manifest, {**DRAFT.files, "more": b""})
    assert not store.path.exists()


def test_foreign_entries_in_the_store_are_no_models(store: Store) -> None:
    add(store)
    for name in (".git", "lost+found", "Empty", "empty"):
        (store.path / name).mkdir()
    (store.path / "README.md").touch()
    for name in ("v2", "0", "01", ".staging-1-abc"):
        (store.path / "toy" / name).mkdir()
    (store.path / "toy" / "2").touch()
    assert store.names() == ["toy"]
    assert store.versions("toy") == [1]


@contextmanager
def room_for(size_bytes: int) -> Iterator[None]:
    """Limit the size of files, so that the operating system refuses larger ones like on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_publish_that_finds_no_room_leaves_nothing_behind(store: Store) -> None:
    add(store)
    before = everything_below(store.path)
    large = DRAFT.with_files({"code/large.py": b"#" * 10_000})
    with room_for(5_000), pytest.raises(StoreUnavailable, match="file too large"):
        store.add(large.manifest, large.files)
    assert everything_below(store.path) == before
    assert add(store, draft=large) == [2]


def test_what_a_publisher_that_died_left_is_removed_by_the_next_one_of_any_model(store: Store) -> None:
    """It is removed before the first write, since a full disk may have ended the other publisher. A living
    one keeps its files.
    """
    died, lives = store.path / "other" / ".staging-1-dead", store.path / "another" / ".staging-2-beef"
    for staging in (died, lives):
        staging.mkdir(parents=True)
        (staging / "model.joblib").write_bytes(b"half of it")
        staging.with_name(f"{staging.name}.lock").touch()
    (store.path / "other" / ".staging-deleted-1-f00d").mkdir()
    with Files().locked(lives.with_name(f"{lives.name}.lock")):
        large = DRAFT.with_files({"code/large.py": b"#" * 10_000})
        with room_for(5_000), pytest.raises(StoreUnavailable):
            store.add(large.manifest, large.files)
        assert list((store.path / "other").iterdir()) == []
        assert (lives / "model.joblib").exists()
    add(store)
    assert list((store.path / "another").iterdir()) == []
    assert store.names() == ["toy"]
