"""The run directory belongs to one server, is found by its addresses and store, and is cleared at the end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.host.run_dir import (
    RunDirError,
    Server,
    default_run_dir,
    make_run_dir,
    servers_of,
    take_run_dir,
)
from app.host.workers import claim_slot
from tests.conftest import missing

ONE, OTHER = (Server.of([("127.0.0.1", port)], Path("store")) for port in (1, 2))


def test_a_server_forgets_the_metrics_of_an_earlier_one_but_not_of_a_living_one(tmp_path: Path) -> None:
    first = take_run_dir(tmp_path / "run", ONE)
    (first.path / "counter_0.db").touch()
    slot = claim_slot(first.path)
    first.release()
    take_run_dir(first.path, ONE).release()
    assert (first.path / "counter_0.db").exists(), "a worker outlived its parent"
    slot.release()
    take_run_dir(first.path, ONE).release()
    assert not (first.path / "counter_0.db").exists()


def test_another_server_is_refused_as_long_as_this_one_lives(tmp_path: Path) -> None:
    taken = take_run_dir(tmp_path / "run", ONE)
    with pytest.raises(RunDirError, match=r"running server at 127\.0\.0\.1:1; set PLUMBLINE_RUN_DIR"):
        take_run_dir(taken.path, OTHER)
    slot = claim_slot(taken.path)
    taken.release()
    with pytest.raises(RunDirError, match="in use by the running server"):
        take_run_dir(taken.path, OTHER)
    slot.release()
    take_run_dir(taken.path, OTHER).leave()


def test_two_processes_of_one_server_share_it_and_the_last_one_clears_it_up(tmp_path: Path) -> None:
    """At SIGUSR2 a second parent process takes over."""
    taken = take_run_dir(tmp_path / "run", ONE)
    second = take_run_dir(taken.path, ONE)
    (taken.path / "counter_0.db").touch()
    taken.leave()
    with pytest.raises(RunDirError):
        take_run_dir(taken.path, OTHER)
    assert (second.path / "counter_0.db").exists()
    second.leave()
    assert not second.path.exists()


def test_one_that_was_deleted_is_made_again(tmp_path: Path) -> None:
    taken = take_run_dir(tmp_path / "run", ONE)
    for file in taken.path.iterdir():
        file.unlink()
    taken.path.rmdir()
    again = take_run_dir(taken.path, ONE)
    with pytest.raises(RunDirError):
        take_run_dir(taken.path, OTHER)
    taken.release()
    again.leave()
    assert not again.path.exists()


def test_a_run_directory_must_be_a_directory_of_this_user(tmp_path: Path) -> None:
    """Another user could read or replace its files."""
    assert make_run_dir(tmp_path / "new").stat().st_mode & 0o777 == 0o700
    (tmp_path / "link").symlink_to(tmp_path / "new")
    (tmp_path / "file").touch()
    for name in ("link", "file", "file/below"):
        with pytest.raises(RunDirError, match="PLUMBLINE_RUN_DIR"):
            make_run_dir(tmp_path / name)


def test_a_run_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        missing("only root can give a directory to another user")
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 12345, 12345)
    with pytest.raises(RunDirError, match="another user"):
        make_run_dir(tmp_path / "theirs")


def test_two_servers_never_share_a_run_directory_by_default() -> None:
    """The same server finds its own again, in any order of its addresses."""
    names = [("127.0.0.1", 1), ("::1", 1, 0, 0), "/run/x.sock", "relative.sock", b"\0abstract"]
    server = Server.of(names, Path("store"))
    relative = f"unix:{Path('relative.sock').absolute()}"
    assert set(server.addresses) == {"127.0.0.1:1", "[::1]:1", "unix:/run/x.sock", relative, "unix:@abstract"}
    assert default_run_dir(server) == default_run_dir(Server.of(names[::-1], Path("store")))
    others = [ONE, OTHER, Server.of(names[:4], Path("store")), Server.of(names, Path("other"))]
    assert len({default_run_dir(other) for other in (server, *others)}) == 5


@pytest.mark.parametrize(
    ("name", "host", "port", "is_there"),
    [
        (("127.0.0.1", 8000), "127.0.0.1", 8000, True),
        (("127.0.0.1", 8000), "localhost", 8000, True),
        (("127.0.0.1", 8000), "0.0.0.0", 8000, True),
        (("0.0.0.0", 8000), "127.0.0.1", 8000, True),
        (("::", 8000, 0, 0), "127.0.0.1", 8000, True),
        (("::1", 8000, 0, 0), "::1", 8000, True),
        (("127.0.0.1", 8000), "127.0.0.1", 8001, False),
        (("10.0.0.7", 8000), "127.0.0.1", 8000, False),
        ("/run/8000", "127.0.0.1", 8000, False),
    ],
)
def test_a_server_is_where_a_client_reaches_it(name: object, host: str, port: int, is_there: bool) -> None:
    assert Server.of([name], Path("store")).is_at(host, port) is is_there


def test_servers_are_found_by_their_store_while_they_have_workers(tmp_path: Path) -> None:
    server = Server.of([("127.0.0.1", 1)], tmp_path / "store")
    run_dir = take_run_dir(default_run_dir(server), server)
    try:
        assert list(servers_of(tmp_path / "store")) == []
        slot = claim_slot(run_dir.path)
        assert list(servers_of(tmp_path / "store")) == [(run_dir.path, server)]
        assert list(servers_of(tmp_path / "other")) == []
        slot.release()
    finally:
        run_dir.leave()
    assert not run_dir.path.exists()
