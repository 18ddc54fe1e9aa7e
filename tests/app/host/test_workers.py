"""The workers of a host: their slots, their reports, and the wait until all of them serve a generation."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.host.workers import Slot, WorkerFile, claim_slot, held_slots, living_workers, wait_for_workers
from tests.conftest import wait_until


class Clock:
    """A clock that advances only in ``sleep``, and calls the functions that are due."""

    def __init__(self) -> None:
        self.now = 100.0
        self.plan: dict[float, list] = {}

    def at(self, seconds: float, do) -> None:
        self.plan.setdefault(100.0 + seconds, []).append(do)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for moment in [m for m in self.plan if m <= self.now]:
            for do in self.plan.pop(moment):
                do()

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def worker(run_dir: Path, clock: Clock, generation: str = "") -> tuple[Slot, WorkerFile]:
    slot = claim_slot(run_dir)
    file = WorkerFile(slot, clock.time)
    if generation:
        file.write(generation, {})
    return slot, file


def test_what_workers_say_is_read_by_slot(tmp_path: Path, clock: Clock) -> None:
    slot, file = worker(tmp_path, clock, "7")
    other, _ = worker(tmp_path, clock)
    clock.sleep(3)
    file.write("8", {"toy:2": "its golden rows do not give the recorded answers"})
    first, second = living_workers(tmp_path)
    assert (first.slot, first.generation, first.started, first.seen) == (0, "8", 100.0, 103.0)
    assert first.faults == {"toy:2": "its golden rows do not give the recorded answers"}
    assert (second.slot, second.generation) == (1, "")
    slot.release()
    assert [state.slot for state in living_workers(tmp_path)] == [1]
    other.release()


def test_no_server_has_no_workers(tmp_path: Path) -> None:
    assert living_workers(tmp_path / "none") == []
    assert wait_for_workers(tmp_path / "none", "5", (), 10) == ([], [])


def test_the_wait_ends_when_all_have_switched(tmp_path: Path, clock: Clock) -> None:
    (_, one), (_, two) = worker(tmp_path, clock, "4"), worker(tmp_path, clock, "4")
    clock.at(0.1, lambda: one.write("5", {}))
    clock.at(0.3, lambda: two.write("6", {}))
    switched, missing = wait_for_workers(tmp_path, "5", (), 10, clock.sleep, clock.time)
    assert [(state.slot, state.generation) for state in switched] == [(0, "5"), (1, "6")]
    assert missing == []
    assert clock.now == pytest.approx(100.3, abs=0.03)


def test_who_has_not_switched_in_time_is_named(tmp_path: Path, clock: Clock) -> None:
    (_, one), _ = worker(tmp_path, clock, "4"), worker(tmp_path, clock, "4")
    clock.at(0.1, lambda: one.write("5", {}))
    switched, missing = wait_for_workers(tmp_path, "5", (), 2, clock.sleep, clock.time)
    assert [state.slot for state in switched] == [0]
    assert [(state.slot, state.seen) for state in missing] == [(1, 100.0)]
    assert clock.now == pytest.approx(102, abs=0.03)


def test_a_worker_that_has_not_tried_the_version_yet_is_waited_for(tmp_path: Path) -> None:
    clock = Clock()
    _, one = worker(tmp_path, clock)
    one.write("5", {}, ["toy:2"])
    assert wait_for_workers(tmp_path, "5", ["other:1"], 2, clock.sleep, clock.time)[1] == []
    assert [w.coming for w in wait_for_workers(tmp_path, "5", (), 2, clock.sleep, clock.time)[1]] == [
        ["toy:2"]
    ]
    clock.at(3.0, lambda: one.write("5", {}))
    assert wait_for_workers(tmp_path, "5", ["toy:2"], 9, clock.sleep, clock.time)[1] == []


def test_a_worker_that_dies_is_not_waited_for(tmp_path: Path, clock: Clock) -> None:
    slot, _ = worker(tmp_path, clock, "4")
    clock.at(0.2, slot.release)
    assert wait_for_workers(tmp_path, "5", (), 10, clock.sleep, clock.time) == ([], [])
    assert clock.now < 101


def test_one_that_has_only_begun_is_waited_for(tmp_path: Path, clock: Clock) -> None:
    _, file = worker(tmp_path, clock)
    clock.at(0.2, lambda: file.write("5", {}))
    switched, missing = wait_for_workers(tmp_path, "5", (), 10, clock.sleep, clock.time)
    assert ([state.slot for state in switched], missing) == ([0], [])


def test_what_the_last_owner_of_a_slot_said_is_forgotten(tmp_path: Path, clock: Clock) -> None:
    slot, file = worker(tmp_path, clock, "9")
    slot.release()
    assert file.path.exists()
    worker(tmp_path, clock)
    assert [state.generation for state in living_workers(tmp_path)] == [""]


def test_slots_are_claimed_from_the_lowest_and_freed_by_release(tmp_path: Path) -> None:
    first, second = claim_slot(tmp_path), claim_slot(tmp_path)
    assert (first.number, second.number) == (0, 1)
    assert held_slots(tmp_path) == {0, 1}
    first.release()
    assert held_slots(tmp_path) == {1}
    again = claim_slot(tmp_path)
    assert again.number == 0
    for slot in (again, second):
        slot.release()


def test_claiming_a_slot_forgets_the_gauges_of_its_last_owner(tmp_path: Path) -> None:
    for name in ("gauge_livesum_0.db", "gauge_livesum_1.db", "counter_0.db"):
        (tmp_path / name).touch()
    claim_slot(tmp_path).release()
    assert sorted(p.name for p in tmp_path.glob("*.db")) == ["counter_0.db", "gauge_livesum_1.db"]


def test_what_a_process_forks_does_not_hold_its_slot(tmp_path: Path) -> None:
    slot = claim_slot(tmp_path)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(write)
        os.read(read, 1)  # until the parent says so
        os._exit(0)
    assert held_slots(tmp_path) == {0}
    slot.release()
    wait_until(lambda: held_slots(tmp_path) == set())
    os.close(write)
    os.waitpid(child, 0)
    os.close(read)
