"""A publisher that is killed at any moment leaves only complete versions, and nothing that stops the next
publisher.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from models.runtimes.loading import load_version
from models.store import Store
from models.store.registry import State
from tests.models.publisher import Publishers, publisher, run
from tests.toys import summing_draft

#: What is in the store before -> what is being done when the process dies.
CHANGES: dict[str, tuple[list[str], str]] = {
    "first publish": ([], "publish"),
    "first publish with a tag": ([], "publish=blue"),
    "second publish": (["publish=blue"], "publish"),
    "second publish with the tag of the first": (["publish=blue"], "publish=blue"),
    "tag": (["publish", "publish=blue"], "tag=blue"),
    "delete": (["publish", "publish=blue"], "delete"),
    "delete the model": (["publish", "publish=blue", "publish"], "delete_model"),
}


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return a store with one complete version, toy:1."""
    store = Store(tmp_path_factory.mktemp("template"))
    draft = summing_draft()
    store.add(draft.manifest, draft.files)
    return store


@pytest.fixture(scope="module")
def publishers() -> Iterator[Publishers]:
    forking = Publishers()
    yield forking
    forking.close()


def change_in_a_process(
    publishers: Publishers, store: Store, template: Store, step: str, unit: str, kill_at: int = 0
) -> list[str]:
    """Make one change in another process, which dies at a count or reports how far it counted."""
    code, printed = publishers.change(store, template, step, unit, kill_at)
    assert code == (-signal.SIGKILL if kill_at else 0), printed
    return printed.splitlines()


def check_after_a_crash(store: Store, template: Store, given: list[int], stable: int | None) -> None:
    """Check the store. ``given`` are the numbers assigned before the process that died, ``stable`` the
    version at that time.
    """
    for name in store.names():
        versions = store.versions(name)
        for number in versions:
            assert load_version(store.get(name, number))
        assert set(store.selectors(name).values()) <= set(versions)
        assert stable is None or store.resolve(name) == stable
        assert all(h["what"] in ("publish", "tag", "delete") for h in store.history(name))
    visible = store.versions("toy") if store.names() else []
    tags = store.state("toy").tags if visible else {}

    before = store.generation()
    run(store, template, "publish")
    fresh = max(store.versions("toy"))
    assert fresh not in {*visible, *given}
    assert store.versions("toy") == [*visible, fresh]
    assert store.state("toy").tags == tags
    assert load_version(store.get("toy", fresh))
    assert store.generation() != before
    leftovers = [p for p in store.path.rglob("*") if p.name.startswith(".")]
    assert leftovers == []


def kill_everywhere(
    publishers: Publishers,
    tmp_path: Path,
    template: Store,
    what: str,
    unit: str,
    stride: int = 1,
) -> None:
    steps, change = CHANGES.get(what, ([], what))
    prepared = Store(tmp_path / "prepared")
    for step in steps:
        run(prepared, template, step)
    given = prepared.versions("toy") if steps else []
    stable = prepared.resolve("toy") if steps else None

    def copy(name: str) -> Store:
        if steps:
            shutil.copytree(prepared.path, tmp_path / name)
        return Store(tmp_path / name)

    (counted, *_) = change_in_a_process(publishers, copy("whole"), template, change, unit)
    assert int(counted) > 5
    for kill_at in range(1, int(counted) + 1, stride):
        store = copy(f"killed-{kill_at}")
        change_in_a_process(publishers, store, template, change, unit, kill_at)
        check_after_a_crash(store, template, given, stable)


@pytest.mark.parametrize("what", CHANGES)
def test_killed_after_each_single_file_operation(
    tmp_path: Path, template: Store, publishers: Publishers, what: str
) -> None:
    kill_everywhere(publishers, tmp_path, template, what, "operation")


@pytest.mark.stress
@pytest.mark.parametrize("what", CHANGES)
def test_killed_before_each_single_call_that_changes_the_disk(
    tmp_path: Path, template: Store, publishers: Publishers, what: str
) -> None:
    kill_everywhere(publishers, tmp_path, template, what, "call")


@pytest.mark.parametrize("stride", [6, pytest.param(1, marks=pytest.mark.stress)])
def test_killed_in_a_whole_publish(
    tmp_path: Path, template: Store, publishers: Publishers, stride: int
) -> None:
    kill_everywhere(publishers, tmp_path, template, "measure", "operation", stride)


def what_holds(store: Store) -> tuple[list[int], State]:
    return store.versions("toy"), replace(store.state("toy"), last=None)


@pytest.mark.parametrize("what", ["promote", "rollback", "traffic", "tag=blue", "delete"])
def test_a_change_that_was_killed_is_told_and_recorded_as_far_as_it_went(
    tmp_path: Path, template: Store, publishers: Publishers, what: str
) -> None:
    """A process that watches the generation must look again, and the history is complete."""
    prepared = Store(tmp_path / "prepared")
    for step in ("publish", "publish", "publish", "promote", "publish"):
        run(prepared, template, step)

    def copy(name: str) -> Store:
        shutil.copytree(prepared.path, tmp_path / name)
        return Store(tmp_path / name)

    (counted, *_) = change_in_a_process(publishers, whole := copy("whole"), template, what, "operation")
    seen = set()
    for kill_at in range(1, int(counted) + 1):
        store = copy(f"killed-{kill_at}")
        change_in_a_process(publishers, store, template, what, "operation", kill_at)
        changed = what_holds(store) != what_holds(prepared)
        done = what_holds(store) == what_holds(whole)
        seen.add((changed, done))
        assert store.at_rest(), "the dead hold no lock"
        assert not changed or store.generation() != prepared.generation()
        history = [line["what"] for line in store.history("toy")]
        assert not done or history == [line["what"] for line in whole.history("toy")]
        store.tag("toy", 1, "later")
        assert [line["what"] for line in store.history("toy")] == [*history, "tag"]
        lines = (store.path / "toy" / "history.jsonl").read_text().splitlines()
        assert [json.loads(line) for line in lines] == store.history("toy"), (
            "the next change wrote what was missing"
        )
    assert {(False, False), (True, True)} <= seen


@pytest.mark.parametrize("what", CHANGES)
def test_no_change_of_the_disk_goes_around_the_file_operations(
    store: Store, template: Store, publishers: Publishers, what: str
) -> None:
    """The tests above would not notice it."""
    steps, change = CHANGES[what]
    for step in steps:
        run(store, template, step)
    counted, *beside = change_in_a_process(publishers, store, template, change, "call")
    assert int(counted) > 5
    assert beside == []


@pytest.mark.parametrize("times", [5, pytest.param(20, marks=pytest.mark.stress)])
def test_killed_at_random(store: Store, template: Store, times: int) -> None:
    """One store survives all of the crashes."""
    seeded = random.Random(times)
    given: set[int] = set()
    for _ in range(times):
        with publisher(store, template, "forever") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(seeded.uniform(0.0, 0.2))
            process.kill()
        check_after_a_crash(store, template, sorted(given), None)
        given |= set(store.versions("toy"))
    numbers = [h["version"] for h in store.history("toy") if h["what"] == "publish"]
    assert len(numbers) == len(set(numbers)), "a number was given twice"
    assert len(numbers) > times, "the processes lived long enough to be interrupted at work"
