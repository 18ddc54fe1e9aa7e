"""Models are evicted when the budget is too small, pinned ones never, and all come back on request."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from app.catalog.budget import Budget, Resident
from app.catalog.residency import Residency
from app.catalog.snapshot import read_snapshot
from app.engine.engine import Engine
from app.inference.messages import Ask
from app.inference.model import LoadedModel
from models.names import Version
from models.record import Record
from models.store import Store
from tests.app.catalog.test_residency import AtOnce
from tests.toys import ToyRuntime, summing_draft

A, B, C = (Version(name, 1) for name in "abc")
ROW = np.array([[1.0, 2.0]])


def leaving(budget: Budget, arrived: Version = C, may_leave: object = None, **used: int) -> list[str]:
    resident = {Version(name, 1): Resident(None, 10, when) for name, when in used.items()}
    allowed = (lambda target: True) if may_leave is None else (lambda target: target.name in str(may_leave))
    return [target.name for target in budget.leaving(resident, arrived, allowed)]


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (Budget(), []),
        (Budget(30), []),
        (Budget(25), ["b"]),
        (Budget(15), ["b", "a"]),
        (Budget(5), ["b", "a"]),
        (Budget(15, pinned=("b",)), ["a"]),
        (Budget(15, pinned=("a", "b")), []),
    ],
)
def test_the_least_recently_used_leave(budget: Budget, expected: list[str]) -> None:
    assert leaving(budget, a=5, b=2, c=9) == expected


def test_a_version_that_could_not_come_back_stays() -> None:
    assert leaving(Budget(15), may_leave="a", a=5, b=2, c=9) == ["a"]


def test_a_version_that_has_just_arrived_stays() -> None:
    assert leaving(Budget(1), arrived=B, b=1) == []


class Process:
    """A process with three lazy models, each of a few kilobytes by its files."""

    def __init__(self, path: Path, kib: float, pinned: tuple[str, ...] = ()) -> None:
        self.store = Store(path)
        for name in "abc":
            draft = summing_draft(name)
            self.store.add(draft.manifest, draft.files)
        self.opened: list[str] = []
        concurrency = AtOnce()

        def open_version(artifact: Record, *_: object) -> LoadedModel:
            self.opened.append(artifact.manifest.name)
            return LoadedModel(ToyRuntime(artifact), artifact.manifest, concurrency)

        snapshot = read_snapshot(self.store, "a")
        size = sum(file.size_bytes for file in snapshot.manifest(A).files.values())
        budget = Budget(int(size * kib), pinned)
        self.residency = Residency(snapshot, concurrency, open_version, (), budget)
        self.engine = Engine(self.residency, (), concurrency)

    def ask(self, names: str) -> None:
        for name in names:
            self.engine.ask(Ask(name, "1", ROW))

    @property
    def ready(self) -> str:
        return "".join(name for name in "abc" if self.residency.status(Version(name, 1))[0] == "ready")


def test_room_for_two_of_three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.catalog.residency.resident_bytes", lambda: 0)
    process = Process(tmp_path, 2.5)
    process.ask("abab")
    assert (process.ready, process.opened) == ("ab", ["a", "b"])
    process.ask("c")
    assert process.ready == "bc", "a was used least recently"
    process.ask("bac")
    assert process.ready == "ac"
    assert process.opened == ["a", "b", "c", "a", "c"], "b was in use, and c left for a"


def test_a_pinned_model_never_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.catalog.residency.resident_bytes", lambda: 0)
    process = Process(tmp_path, 2.5, pinned=("a",))
    process.ask("abcbcb")
    assert process.opened.count("a") == 1


def test_the_only_copy_stays_when_its_files_are_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.catalog.residency.resident_bytes", lambda: 0)
    process = Process(tmp_path, 1.5)
    process.ask("a")
    shutil.rmtree(process.store.path / "a" / "1")
    process.ask("b")
    assert process.ready == "ab"
    process.ask("a")
