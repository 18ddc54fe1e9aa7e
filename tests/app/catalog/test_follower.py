"""A process follows its store: it routes to a new version once that is verified and loaded."""

from __future__ import annotations

import gc
import shutil
import threading
import weakref
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.catalog.follower import Follower
from app.catalog.residency import Residency
from app.catalog.routing import LoadingPolicy
from app.catalog.snapshot import Snapshot, read_snapshot
from app.concurrency.forms import Threads
from app.engine.engine import Engine
from app.host.proof import Proof, Prover
from app.inference.messages import Ask
from app.inference.model import LoadedModel
from models.errors import LoadError, NotReady, VersionNotFound
from models.names import Version
from models.record import Record
from models.store import Store
from models.store.lifecycle import promote, rollback, set_traffic
from models.traffic import Arm, Match, Rule
from tests.conftest import LONG_SECONDS, wait_until
from tests.toys import ToyRuntime, summing_draft, toy_store

DRAFT = summing_draft()
ROW = np.array([[1.0, 2.0]])


class AtOnce(Threads):
    """A concurrency that runs each function before ``spawn`` returns, and does not sleep."""

    def spawn(self, run: Callable[[], None]) -> None:
        run()

    def pause(self, seconds: float) -> None:
        pass


class Judge(Prover):
    """A prover that refuses some versions, and waits for ``end`` with those in ``endless``."""

    def __init__(self) -> None:
        self.endless: set[int] = set()
        self.end = threading.Event()
        self.refused: dict[int, str] = {}
        self.asked: list[Version] = []

    def prove(self, target: Version, artifact: Record) -> Proof:
        self.asked.append(target)
        if target.number in self.endless:
            self.end.wait(LONG_SECONDS)
        return Proof(self.refused.get(target.number, ""))


class Process:
    """The parts of a process that serves a store, without the server."""

    def __init__(
        self, store: Store, policy: LoadingPolicy | None = None, concurrency: Threads | None = None
    ) -> None:
        concurrency = concurrency or AtOnce()
        self.store = store
        self.opened: list[int] = []
        self.failing: set[int] = set()
        self.judge = Judge()
        self.told: list[tuple[str, dict[str, str]]] = []
        self.routes: list[Snapshot] = []

        def open_version(artifact: Record, *_: object) -> LoadedModel:
            self.opened.append(artifact.manifest.version)
            if artifact.manifest.version in self.failing:
                raise LoadError("broken on purpose")
            return LoadedModel(ToyRuntime(artifact), artifact.manifest, concurrency)

        snapshot = read_snapshot(store, "toy")
        self.residency = Residency(snapshot, concurrency, open_version, prover=self.judge)
        self.engine = Engine(self.residency, (), concurrency)
        policy = policy or LoadingPolicy()
        self.follower = Follower(store, "toy", policy, self.residency, self.judge, concurrency)
        self.follower.on_versions = self.routes.append
        self.follower.report = self._tell
        self.coming: Collection[str] = ()

    def _tell(self, generation: str, faults: Mapping[str, str], coming: Collection[str]) -> None:
        self.told.append((generation, dict(faults)))
        self.coming = coming

    def start(self) -> Process:
        self.follower.begin()
        self.follower.load()
        wait_until(lambda: self.residency.is_started)
        self.follower.check()
        return self

    def answers(self) -> int:
        """Return the version that answers a request, after a check that it does."""
        target = self.engine.ask(Ask("toy", None, ROW)).target
        return target.number


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Versions 1 to 3, of which 1 is stable."""
    return toy_store(tmp_path / "store", 3)


@pytest.fixture
def process(store: Store) -> Process:
    return Process(store).start()


def test_a_promotion_is_followed_and_told(process: Process) -> None:
    assert process.answers() == 1
    changed = promote(process.store, "toy", 2)
    assert process.answers() == 1, "nobody has looked yet"
    process.follower.check()
    assert process.answers() == 2
    assert process.told[-1] == (changed.generation, {})


def test_a_process_that_watches_follows_by_itself(store: Store) -> None:
    process = Process(store, concurrency=Threads()).start()
    process.follower.watch()
    promote(store, "toy", 2)
    wait_until(lambda: process.answers() == 2)
    process.follower.close()


def test_routes_that_could_not_be_made_are_made_at_the_next_look(process: Process) -> None:
    def fail_once(snapshot: Snapshot) -> None:
        process.follower.on_versions = process.routes.append
        raise OSError("no descriptor is left")

    process.follower.on_versions = fail_once
    before = process.told[-1][0]
    process.store.delete("toy", 2)
    process.follower.check()
    assert (process.told[-1][0], process.routes) == (before, []), "what has no routes is not told"
    process.follower.check()
    assert [len(snapshot.targets) for snapshot in process.routes] == [2]
    assert process.told[-1][0] == process.store.generation()


def test_without_a_change_nothing_is_read_or_told_again(process: Process) -> None:
    before = len(process.told), process.engine.snapshot
    for _ in range(3):
        process.follower.check()
    assert (len(process.told), process.engine.snapshot) == before


def test_the_new_version_is_loaded_before_requests_are_routed_to_it(process: Process) -> None:
    at_load: list[int] = []
    opened = process.opened

    class Watching(list[int]):
        def append(self, version: int) -> None:
            at_load.append(process.engine.routing.resolve("toy").number)
            super().append(version)

    process.opened = Watching(opened)
    promote(process.store, "toy", 2)
    process.follower.check()
    assert (at_load, process.answers()) == ([1], 2)


def test_the_version_that_was_replaced_leaves_memory_and_a_rollback_brings_it_back(store: Store) -> None:
    process = Process(store).start()
    model = weakref.ref(process.residency.model(Version("toy", 1)))
    promote(store, "toy", 2)
    process.follower.check()
    gc.collect()
    assert model() is None
    assert process.residency.status(Version("toy", 1)) == ("lazy", "")
    rollback(store, "toy")
    process.follower.check()
    assert process.answers() == 1


def test_a_request_under_way_keeps_the_version_that_it_began_with(process: Process) -> None:
    served = process.residency.model(Version("toy", 1))
    promote(process.store, "toy", 2)
    process.follower.check()
    assert served.answer(ROW, {}).outputs.values.tolist() == [3.0]


def test_a_version_that_fails_its_proof_is_not_loaded_and_the_old_one_answers(process: Process) -> None:
    process.judge.refused[2] = "its golden rows do not give the recorded answers"
    opened = list(process.opened)
    promote(process.store, "toy", 2)
    process.follower.check()
    assert process.answers() == 1
    assert process.opened == opened
    assert process.residency.status(Version("toy", 2)) == ("failed", process.judge.refused[2])
    assert process.told[-1][1] == {"toy:2": process.judge.refused[2]}
    assert process.engine.routing.stand_ins == {"toy": Version("toy", 1)}
    assert process.engine.routing.resolve("toy", "stable") == Version("toy", 1), "also by the alias's name"


def test_a_version_that_cannot_be_loaded_leaves_the_old_one(process: Process) -> None:
    process.failing.add(2)
    promote(process.store, "toy", 2)
    process.follower.check()
    assert process.answers() == 1
    assert process.residency.faults == {"toy:2": "broken on purpose"}


def test_a_version_that_failed_is_tried_again_at_the_next_change(process: Process) -> None:
    process.failing.add(2)
    promote(process.store, "toy", 2)
    process.follower.check()
    process.failing.clear()
    process.store.tag("toy", 3, "another")
    process.follower.check()
    assert process.answers() == 2
    assert process.told[-1][1] == {}
    assert process.engine.routing.stand_ins == {}


def test_a_version_that_never_comes_holds_up_no_other_change(store: Store) -> None:
    other = summing_draft("other")
    for _ in range(4):
        store.add(other.manifest, other.files)
    process = Process(store, concurrency=Threads()).start()
    process.judge.endless.add(2)
    promote(store, "toy", 2)
    process.follower.look()
    assert process.coming == ["toy:2"]
    assert process.answers() == 1, "until the new one is there"
    promote(store, "other", 3)
    process.follower.look()
    wait_until(lambda: process.engine.routing.resolve("other") == Version("other", 3))
    promote(store, "toy", 3)
    process.follower.look()
    assert process.answers() == 3
    assert process.coming == ["toy:2"]
    process.judge.end.set()
    wait_until(lambda: process.coming == [])
    assert process.answers() == 3


def test_a_rule_holds_until_every_version_of_the_next_one_is_there(store: Store) -> None:
    process = Process(store, concurrency=Threads()).start()
    set_traffic(store, "toy", Rule(arms=(Arm(3, 50),)))
    process.follower.check()
    process.judge.endless.add(2)
    set_traffic(store, "toy", Rule(arms=(Arm(3, 50), Arm(2, 50))))
    process.follower.look()
    assert arms(process) == {1: "stable", 3: "canary"}
    process.judge.end.set()
    process.follower.check()
    assert set(arms(process)) == {2, 3}


def test_a_version_that_fails_when_it_is_first_asked_for_is_stood_in_for(store: Store) -> None:
    promote(store, "toy", 2)
    process = Process(store, LoadingPolicy("lazy")).start()
    process.failing.add(2)
    with pytest.raises(NotReady):
        process.answers()
    process.follower.check()
    assert process.answers() == 1


def test_a_process_that_starts_when_stable_is_broken_serves_the_one_before(store: Store) -> None:
    promote(store, "toy", 2)
    promote(store, "toy", 3)
    process = Process(store)
    process.failing.update({2, 3})
    assert process.start().answers() == 1


def test_a_process_without_anything_to_stand_in_says_so(store: Store) -> None:
    process = Process(store)
    process.failing.add(1)
    process.start()
    with pytest.raises(NotReady):
        process.answers()
    assert process.told[-1][1] == {"toy:1": "broken on purpose"}


def test_a_new_version_makes_new_routes_and_a_promotion_makes_none(process: Process) -> None:
    promote(process.store, "toy", 2)
    process.follower.check()
    assert process.routes == []
    process.store.add(DRAFT.manifest, DRAFT.files)
    process.follower.check()
    assert [len(snapshot.targets) for snapshot in process.routes] == [4]
    assert process.residency.status(Version("toy", 4)) == ("ready", ""), "the latest one is loaded"


def test_a_deleted_version_is_gone_for_new_requests(process: Process) -> None:
    process.residency.model(Version("toy", 2))
    process.store.delete("toy", 2)
    process.follower.check()
    with pytest.raises(VersionNotFound):
        process.engine.routing.resolve("toy", "2")
    with pytest.raises(VersionNotFound):
        process.engine.ask(Ask("toy", "2", ROW))
    assert len(process.routes) == 1


def test_a_model_that_comes_and_goes(process: Process) -> None:
    other = summing_draft("other")
    process.store.add(other.manifest, other.files)
    process.follower.check()
    assert process.engine.routing.resolve("other") == Version("other", 1)
    process.store.delete_model("other")
    process.follower.check()
    assert list(process.engine.snapshot.models) == ["toy"]


def test_a_stable_version_whose_files_vanish_answers_on(process: Process, tmp_path: Path) -> None:
    shutil.move(process.store.path / "toy" / "1", tmp_path / "1")
    process.store.tag("toy", 3, "any")
    process.follower.check()
    assert process.answers() == 1, "it is in memory"
    fresh = Process(process.store)
    promote(process.store, "toy", 2)
    shutil.move(process.store.path / "toy" / "2", tmp_path / "2")
    with pytest.raises(NotReady):
        fresh.start().answers()
    assert "are missing in the store" in fresh.told[-1][1]["toy:2"]
    shutil.move(tmp_path / "1", process.store.path / "toy" / "1")
    process.store.tag("toy", 3, "another")
    fresh.follower.check()
    assert fresh.answers() == 1, "the one that was stable before stands in"


def test_a_generation_that_was_lost_is_not_given_again(process: Process) -> None:
    for spoiled in ("", "garbage", "9" * 5000):
        before = int(process.told[-1][0])
        (process.store.path / "generation").write_text(spoiled)
        wanted = 2 if process.answers() == 1 else 1
        changed = promote(process.store, "toy", wanted)
        assert int(changed.generation) > before
        process.follower.check()
        assert process.answers() == wanted


def test_a_store_that_vanishes_empties_nobody(process: Process, tmp_path: Path) -> None:
    """This happens when a volume is unmounted."""
    shutil.move(process.store.path, tmp_path / "away")
    process.follower.check()
    assert process.answers() == 1
    shutil.move(tmp_path / "away", process.store.path)
    promote(process.store, "toy", 2)
    process.follower.check()
    assert process.answers() == 2


def test_what_was_read_is_kept_when_it_is_damaged_later(process: Process) -> None:
    (process.store.path / "toy" / "1" / "manifest.json").write_text("{")
    process.store.tag("toy", 3, "another")
    process.follower.check()
    assert process.answers() == 1
    (process.store.path / "toy" / "state.json").write_text("{")
    other = summing_draft("other")
    process.store.add(other.manifest, other.files)
    process.follower.check()
    assert process.answers() == 1
    assert "other" in process.engine.snapshot.models


def test_a_store_that_cannot_be_read_for_a_while_changes_nothing(
    process: Process, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    away = tmp_path / "away"
    shutil.move(process.store.path, away)
    process.store.path.write_text("no directory")
    for _ in range(3):
        process.follower.check()
    assert process.answers() == 1
    assert sum("cannot be read" in record.message for record in caplog.records) == 1, (
        "once, not five times a second"
    )
    process.store.path.unlink()
    shutil.move(away, process.store.path)
    promote(process.store, "toy", 2)
    process.follower.check()
    assert process.answers() == 2


def test_what_changed_between_reading_and_starting_is_not_missed(store: Store) -> None:
    process = Process(store)
    promote(store, "toy", 2)
    store.add(DRAFT.manifest, DRAFT.files)
    process.start()
    assert process.answers() == 2
    assert process.engine.routing.resolve("toy", "4") == Version("toy", 4)
    assert len(process.routes) == 1


def test_a_process_starts_by_what_the_store_says_then(store: Store) -> None:
    """No version answers yet, so none stands in for one that was promoted since the store was read."""
    store.tag("toy", 1, "old")
    process = Process(store)
    set_traffic(store, "toy", Rule(arms=(Arm(3, 50),)))
    promote(store, "toy", 2)
    process.follower.begin()
    assert process.engine.routing.targets == {"toy": Version("toy", 2)}
    assert process.engine.routing.rules == {"toy": Rule(arms=(Arm(3, 50),))}


def test_nothing_is_said_to_be_served_before_models_were_tried(store: Store) -> None:
    process = Process(store)
    process.follower.begin()
    process.follower.check()
    assert {generation for generation, _ in process.told} == {""}
    process.follower.load()
    process.follower.check()
    assert process.told[-1][0] == store.generation()


def test_a_lazy_model_that_is_in_memory_is_replaced_by_one_that_is(store: Store) -> None:
    process = Process(store, LoadingPolicy("lazy")).start()
    assert process.opened == []
    promote(store, "toy", 2)
    process.follower.check()
    assert process.opened == [], "nobody has asked for it"
    assert process.answers() == 2
    promote(store, "toy", 3)
    process.follower.check()
    assert process.opened == [2, 3]


def test_the_same_number_with_other_bytes_is_another_version(process: Process) -> None:
    """This happens when a store is restored or replaced."""
    shutil.rmtree(process.store.path)
    for _ in range(2):
        process.store.add(replace(DRAFT.manifest, published_at="2020-01-01T00:00:00Z"), DRAFT.files)
    for _ in range(5):
        promote(process.store, "toy", 2)
        rollback(process.store, "toy")
    process.opened.clear()
    process.follower.check()
    assert process.answers() == 1
    assert process.opened == [1, 2]


def test_a_rule_is_followed_and_an_arm_that_cannot_be_loaded_gets_nothing(process: Process) -> None:
    set_traffic(process.store, "toy", Rule(arms=(Arm(3, 50),)))
    process.follower.check()
    assert arms(process) == {1: "stable", 3: "canary"}
    process.judge.refused[2] = "no"
    set_traffic(process.store, "toy", Rule(arms=(Arm(2, 50),)))
    process.follower.check()
    assert arms(process) == {1: "stable"}
    assert process.told[-1][1] == {"toy:2": "no"}


def test_a_first_rule_divides_nothing_until_its_versions_are_there(store: Store) -> None:
    process = Process(store, concurrency=Threads()).start()
    process.judge.endless.add(2)
    set_traffic(store, "toy", Rule(arms=(Arm(2, 50),)))
    process.follower.look()
    assert arms(process) == {1: ""}, "no request waits for version 2"
    process.judge.end.set()
    process.follower.check()
    assert arms(process) == {1: "stable", 2: "canary"}


def test_every_version_of_a_rule_is_loaded_and_stays(process: Process) -> None:
    for _ in range(2):
        process.store.add(DRAFT.manifest, DRAFT.files)
    rule = Rule(arms=(Arm(2, 20), Arm(3, 20)), matches=(Match("X-Beta", "1", 4),))
    set_traffic(process.store, "toy", rule)
    process.follower.check()
    process.store.tag("toy", 1, "any")
    process.follower.check()
    assert {v for v in (2, 3, 4) if process.residency.status(Version("toy", v))[0] == "ready"} == {2, 3, 4}


def arms(process: Process) -> dict[int, str]:
    routes = [process.engine.ask(Ask("toy", None, ROW, request_id=f"{i}")).ask.route for i in range(50)]
    return {route.target.number: route.arm for route in routes if route is not None}
