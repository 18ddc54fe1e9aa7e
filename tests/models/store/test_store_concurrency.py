"""Processes that change one store at the same time lose none of their changes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from models.runtimes.loading import load_version
from models.store import Store
from tests.models.publisher import publisher, run
from tests.toys import summing_draft


def prepared(tmp_path: Path) -> Store:
    """Return the store whose version the processes publish again."""
    template = Store(tmp_path / "template")
    draft = summing_draft()
    template.add(draft.manifest, draft.files)
    return template


def all_at_once(store: Store, template: Store, *works: list[str]) -> None:
    """Run each list of steps in a process of its own, and check that all of them succeed."""
    processes = [publisher(store, template, *steps) for steps in works]
    said = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(works), said


def test_eight_processes_publish_25_versions_each(store: Store, tmp_path: Path) -> None:
    template = prepared(tmp_path)
    all_at_once(store, template, *[["publish"] * 25] * 8)
    assert store.versions("toy") == list(range(1, 201))
    assert store.selectors("toy") == {"stable": 1, "latest": 200}
    for number in (1, 57, 200):
        assert load_version(store.get("toy", number))
    for number in store.versions("toy"):
        version = store.get("toy", number)
        assert all(version.read(path) for path in version.manifest.files)
    assert [h["version"] for h in store.history("toy")] == list(range(1, 201))
    assert int(store.generation()) > 0
    assert [p for p in store.path.rglob("*") if p.name.startswith(".")] == []


def test_two_processes_that_set_different_tags_both_succeed(store: Store, tmp_path: Path) -> None:
    template = prepared(tmp_path)
    run(store, template, "publish")
    works = [[f"tag={who}-{i}" for i in range(25)] for who in "ab"]
    all_at_once(store, template, *works)
    assert store.state("toy").tags == {f"{who}-{i}": 1 for who in "ab" for i in range(25)}
    assert len(store.history("toy")) == 51


def test_publishing_and_deleting_at_once_never_gives_a_number_twice(store: Store, tmp_path: Path) -> None:
    template = prepared(tmp_path)
    run(store, template, "publish")
    run(store, template, "publish")
    all_at_once(store, template, *[["publish", "publish", "delete"] * 8] * 3)
    history = store.history("toy")
    published = [h["version"] for h in history if h["what"] == "publish"]
    deleted = [h["version"] for h in history if h["what"] == "delete"]
    assert published == list(range(1, 51))
    assert set(Counter(deleted).values()) == {1}
    assert store.versions("toy") == sorted(set(published) - set(deleted))
    run(store, template, "publish")
    assert store.resolve("toy", "latest") == 51
