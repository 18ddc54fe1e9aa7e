"""Which worker is which: slots are claimed, found, freed and forgotten."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.serving.slots import (
    RunDirError,
    claim_slot,
    default_run_dir,
    held_slots,
    make_run_dir,
    sweep,
)


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


def test_a_server_forgets_the_metrics_of_an_earlier_one_but_not_of_a_living_one(tmp_path: Path) -> None:
    (tmp_path / "counter_0.db").touch()
    slot = claim_slot(tmp_path)
    sweep(tmp_path)
    assert (tmp_path / "counter_0.db").exists()
    slot.release()
    sweep(tmp_path)
    assert not (tmp_path / "counter_0.db").exists()


def test_a_run_directory_must_be_a_directory_of_this_user(tmp_path: Path) -> None:
    """Somebody else could read or replace what is kept there."""
    assert make_run_dir(tmp_path / "new").stat().st_mode & 0o777 == 0o700
    (tmp_path / "link").symlink_to(tmp_path / "new")
    (tmp_path / "file").touch()
    for name in ("link", "file", "file/below"):
        with pytest.raises(RunDirError, match="PLUMBLINE_RUN_DIR"):
            make_run_dir(tmp_path / name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to somebody else")
def test_a_run_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 12345, 12345)
    with pytest.raises(RunDirError, match="somebody else"):
        make_run_dir(tmp_path / "theirs")


def test_two_servers_never_share_a_run_directory_by_default() -> None:
    """And the same server finds its own again."""
    one = default_run_dir("127.0.0.1:1", Path("store"))
    assert one == default_run_dir("127.0.0.1:1", Path("store"))
    assert one not in (
        default_run_dir("127.0.0.1:2", Path("store")),
        default_run_dir("127.0.0.1:1", Path("other")),
    )
