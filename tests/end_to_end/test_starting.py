"""Tests of starting a server: its addresses identify it, and gunicorn must read our configuration."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.store import Store
from tests.conftest import wait_until
from tests.end_to_end.server import ROOT, Server, free_port
from tests.toys import toy_store

#: Both servers are told the same HOST and PORT, and listen somewhere else.
SAME = {"PORT": "8000", "PLUMBLINE_RUN_DIR": ""}
HERE = ("--bind", "127.0.0.1:{port}")
TOKEN = "t" * 32


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return toy_store(tmp_path_factory.mktemp("starting"), 2)


@pytest.fixture(scope="module")
def servers(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server, Path]]:
    """Two servers of one store; the second one also listens on a UNIX socket with this path."""
    path = tmp_path_factory.mktemp("socket") / "s"
    with (
        Server(store.path, *HERE, **SAME) as one,
        Server(store.path, *HERE, "--bind", f"unix:{path}", **SAME) as other,
    ):
        yield one, other, path


def command(store: Store, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run ``flask models ..`` with these environment variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PLUMBLINE_")}
    return subprocess.run(
        [sys.executable, "-m", "flask", "--app", "wsgi", "models", *arguments],
        cwd=ROOT,
        env={**kept, "PLUMBLINE_STORE": str(store.path), **env},
        capture_output=True,
        text=True,
        timeout=120,
    )


def predictions(server: Server) -> float:
    """Return the number of predictions that the server counts."""
    lines = server.get("/metrics").body.decode().splitlines()
    counts = [
        line.rpartition(" ")[2] for line in lines if line.startswith('plumbline_requests_total{model="toy"')
    ]
    return sum(map(float, counts))


def test_servers_that_differ_by_their_address_alone_count_for_themselves(
    servers: tuple[Server, Server, Path],
) -> None:
    one, other, _ = servers
    asked = b'{"inputs": [[1, 2]]}'
    for _ in range(3):
        assert one.post("/models/toy/predict/batch", asked).status == 200
    wait_until(lambda: predictions(one) >= 3)
    assert predictions(other) == 0


def test_a_command_finds_the_server_by_any_address(
    store: Store, servers: tuple[Server, Server, Path]
) -> None:
    for server in servers[:2]:
        done = command(store, "reload", "--json", PORT=str(server.port))
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["switched"] == [{"slot": 0, "pid": server.workers()[0]}]


def test_a_command_for_another_port_changes_nothing_and_says_where_servers_are(
    store: Store, servers: tuple[Server, Server, Path]
) -> None:
    one, other, path = servers
    port = free_port()
    for verb in (("promote", "toy:2"), ("tag", "toy:2", "new"), ("reload",), ("canary", "toy", "2")):
        done = command(store, *verb, PORT=str(port))
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert f"at 127.0.0.1:{port} (HOST and PORT)" in line
        assert f"127.0.0.1:{one.port} (PLUMBLINE_RUN_DIR=" in line
        assert f"127.0.0.1:{other.port} and unix:{path} (PLUMBLINE_RUN_DIR=" in line
    assert store.resolve("toy") == 1
    assert command(store, "history", "toy", PORT=str(port)).returncode == 0
    run_dir = line.split(f"unix:{path} (PLUMBLINE_RUN_DIR=")[1].split(")")[0]
    assert command(store, "reload", PLUMBLINE_RUN_DIR=run_dir).returncode == 0


def test_without_any_server_it_says_where_it_looked(tmp_path: Path) -> None:
    store = toy_store(tmp_path, 2)
    said = "no server of this store at 127.0.0.1:8123 (HOST and PORT) runs on this host"
    for asked, stream in ((["promote", "toy:2"], "stdout"), (["rollback", "toy", "--json"], "stderr")):
        done = command(store, *asked, PORT="8123")
        assert done.returncode == 0, done.stderr
        assert said in getattr(done, stream)


def test_a_server_is_refused_in_the_run_directory_of_another(store: Store) -> None:
    with Server(store.path) as first:
        with pytest.raises(RuntimeError) as refused:
            Server(store.path, PLUMBLINE_RUN_DIR=str(first.run_dir)).__enter__()
        assert f"in use by the running server at 127.0.0.1:{first.port}" in str(refused.value)
        assert "Traceback" not in str(refused.value)
        assert first.get("/health").status == 200
        first.signal(1)  # SIGHUP: the same server goes on
        (before,) = first.workers()
        wait_until(lambda: bool(first.workers()) and before not in first.workers(), 60)
        wait_until(lambda: first.get("/ready").status == 200)
    assert not first.run_dir.exists()


def test_a_gunicorn_that_has_not_read_our_configuration_says_so_and_ends(
    store: Store, tmp_path: Path
) -> None:
    elsewhere = Server(store.path, "--chdir", str(ROOT), *HERE, cwd=tmp_path)
    with pytest.raises(RuntimeError) as ended:
        elsewhere.__enter__()
    assert elsewhere.process is not None and elsewhere.process.returncode == 4
    (line,) = [line for line in str(ended.value).splitlines() if line.startswith("plumbline: ")]
    assert f"gunicorn has not read {ROOT / 'gunicorn.conf.py'}" in line and "PLUMBLINE_ANY_GUNICORN=1" in line
    assert "Traceback" not in str(ended.value)


@pytest.mark.parametrize(
    ("arguments", "env"),
    [
        (("--config", str(ROOT / "gunicorn.conf.py")), {}),
        (HERE, {"PLUMBLINE_ANY_GUNICORN": "1"}),
    ],
)
def test_unless_it_is_told_to_or_finds_it(
    store: Store, tmp_path: Path, arguments: tuple[str, ...], env: dict[str, str]
) -> None:
    with Server(store.path, "--chdir", str(ROOT), *arguments, cwd=tmp_path, **env) as server:
        assert server.get("/health").status == 200
