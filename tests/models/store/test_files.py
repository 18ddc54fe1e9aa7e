"""The single operations by which a store changes a disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.errors import StoreUnavailable
from models.store.files import Files, read_if_there, store_errors

FILES = Files()


def test_a_directory_is_never_moved_onto_another_one(tmp_path: Path) -> None:
    """The operating system would allow it for an empty one."""
    for name in ("source", "target"):
        (tmp_path / name).mkdir()
    with pytest.raises(FileExistsError):
        FILES.rename(tmp_path / "source", tmp_path / "target")
    FILES.rename(tmp_path / "source", tmp_path / "free")
    assert not (tmp_path / "source").exists()


def test_a_reader_who_opened_the_old_file_keeps_the_old_bytes(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    FILES.replace(file, b"old")
    with open(file, "rb") as reader:
        FILES.replace(file, b"newer")
        assert reader.read() == b"old"
    assert file.read_bytes() == b"newer"
    assert list(tmp_path.iterdir()) == [file]


def test_what_a_crash_left_of_a_replacement_is_used_up_by_the_next(tmp_path: Path) -> None:
    (tmp_path / ".state.json.tmp").write_bytes(b"a longer text that was never finish")
    FILES.replace(tmp_path / "state.json", b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["state.json"]
    assert (tmp_path / "state.json").read_bytes() == b"new"


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"precious")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        FILES.write(tmp_path / "link", b"x")
    assert (tmp_path / "elsewhere").read_bytes() == b"precious"


def test_a_line_is_added_after_one_that_was_cut_short(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    FILES.append_line(file, b"one")
    FILES.append_line(file, b"two")
    file.write_bytes(file.read_bytes() + b"thr")
    FILES.append_line(file, b"four")
    assert file.read_bytes() == b"one\ntwo\nthr\nfour\n"


def test_a_lock_is_held_by_one_at_a_time_and_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), FILES.locked(tmp_path / "lock") as held:
        assert held
        with FILES.locked(tmp_path / "lock", wait=False) as again:
            assert not again
        raise KeyError
    with FILES.locked(tmp_path / "lock", wait=False) as free:
        assert free


def test_removing_what_is_gone_is_no_error(tmp_path: Path) -> None:
    FILES.remove_tree(tmp_path / "gone")
    FILES.remove_file(tmp_path / "gone")
    assert read_if_there(tmp_path / "gone") is None


def test_an_error_of_the_system_is_one_line_with_the_store_and_the_reason(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable) as unavailable, store_errors(tmp_path):
        (tmp_path / "missing" / "file").write_bytes(b"")
    assert str(unavailable.value) == (
        f"the store {tmp_path} cannot be used: {tmp_path / 'missing' / 'file'}: no such file or directory"
    )
