"""Which worker is which: slots are claimed, found, freed and forgotten."""

from __future__ import annotations

import os
from pathlib import Path

from app.host.slots import claim_slot, held_slots
from tests.conftest import wait_until


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
