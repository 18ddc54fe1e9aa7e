"""What the image does when it runs: the Dockerfile's own steps, carried out in a scratch root (see dockerfile_runner)."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from models.publishing import publish
from models.store import Store
from models.store.archive import export_version
from tests.conftest import LONG_SECONDS, missing
from tests.deploy.dockerfile_runner import Instruction, Stage, build, is_ignored, parse

ROOT = Path(__file__).resolve().parents[2]
USER = "10001"

Running = tuple[subprocess.Popen[str], str]


def why_not() -> str | None:
    """Why a scratch root cannot be entered here, if so."""
    if os.geteuid() != 0:
        return "entering a scratch root needs root"
    probe = subprocess.run(
        ["unshare", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /mnt"], capture_output=True, text=True
    )
    return f"this machine allows no mounts: {probe.stderr.strip()}" if probe.returncode else None


@pytest.fixture(scope="module")
def image() -> Iterator[Stage]:
    if reason := why_not():
        missing(reason)
    # Not tmp_path: pytest keeps those, and this is most of a gigabyte.
    with tempfile.TemporaryDirectory(prefix="plumbline-image-") as scratch:
        yield build(ROOT, Path(scratch))


Serve = Callable[..., AbstractContextManager[Running]]


@pytest.fixture
def serve(image: Stage, tmp_path: Path) -> Serve:
    """Start the image as `docker run --read-only` would; gives the process and its address."""

    @contextmanager
    def serving(
        env: Mapping[str, str] | None = None, mounts: Mapping[Path, str] | None = None
    ) -> Iterator[Running]:
        env = {"PORT": str(free_port()), "WORKERS": "1", **(env or {})}
        log = tmp_path / "server.log"
        with log.open("w") as output:
            process = image.start(image.cmd, env=env, mounts=mounts, stdout=output, stderr=subprocess.STDOUT)
        address = f"http://127.0.0.1:{env['PORT']}"
        try:
            wait_for(address + "/ready", process, log)
            yield process, address
        finally:
            process.terminate()
            try:
                assert process.wait(LONG_SECONDS) == 0, log.read_text()
            except subprocess.TimeoutExpired:
                process.kill()
                raise

    return serving


@pytest.fixture(scope="module")
def store() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="plumbline-store-") as folder:
        path = Path(folder) / "store"
        rows = np.arange(40.0).reshape(20, 2)
        publish(Store(path), "total", LinearRegression().fit(rows, rows.sum(axis=1)), rows)
        yield path


def test_an_empty_store_is_alive_as_the_numeric_user(serve: Serve) -> None:
    with serve() as (process, address):
        assert get(address + "/health") == (200, {"status": "healthy"})
        assert ids_of(process) == {USER}


def test_the_health_check_passes_while_it_serves_on_the_port_given_and_fails_elsewhere(
    image: Stage, serve: Serve
) -> None:
    with serve() as (_, address):
        port = address.rpartition(":")[2]
        assert image.run(image.healthcheck, env={"PORT": port}).returncode == 0
        assert image.run(image.healthcheck, env={"PORT": str(free_port())}).returncode != 0


def test_a_mounted_store_answers(serve: Serve, store: Path) -> None:
    with serve(mounts={store: "/store"}) as (_, address):
        status, reply = get(address + "/predict", {"features": [3.0, 4.0]})
        assert status == 200
        assert reply["prediction"] == pytest.approx(7.0)
        assert reply["model"] == "total"


def test_the_command_line_works_on_a_mounted_store(image: Stage, store: Path, tmp_path: Path) -> None:
    volume, archives = tmp_path / "volume", tmp_path / "archives"
    for folder in (volume, archives):
        folder.mkdir()
        os.chown(folder, int(USER), int(USER))
    export_version(Store(store), "total", 1, archives / "total.tar.gz")
    mounts = {volume: "/store", archives: "/archives"}
    imported = image.run(["flask", "models", "import", "/archives/total.tar.gz"], mounts=mounts)
    assert imported.returncode == 0, imported.stdout
    listed = image.run(["flask", "models", "list"], mounts=mounts)
    assert (listed.returncode, "total" in listed.stdout) == (0, True), listed.stdout


def test_the_user_can_write_nothing_but_the_store_and_temporary_files(image: Stage) -> None:
    """Even where the root file system is writable."""
    probe = "for d in . app models schemas /opt/plumbline /opt/plumbline/bin / /store /tmp; do test -w $d && echo $d; done; true"
    assert image.run(["sh", "-c", probe], read_only=False).stdout.split() == ["/store", "/tmp"]


def test_the_image_holds_the_server_and_nothing_else(image: Stage) -> None:
    assert sorted(path.name for path in (image.root / "srv").iterdir() if path.name != "__pycache__") == [
        "app",
        "gunicorn.conf.py",
        "models",
        "schemas",
        "wsgi.py",
    ]
    assert not (image.root / "srv/models/artifacts").exists()
    assert not list((image.root / "opt/plumbline").rglob("*.map"))
    assert not list((image.root / "opt/plumbline").rglob("flasgger/ui2"))


def test_what_an_orchestrator_needs_to_know_is_declared(image: Stage) -> None:
    assert image.user == f"{USER}:{USER}"
    assert list(image.cmd) == ["gunicorn", "wsgi:app"]
    assert (image.env["HOST"], image.env["PORT"]) == ("0.0.0.0", "8000")
    assert set(image.healthcheck_flags) >= {"interval", "timeout", "start-period"}


def test_the_runner_reads_a_dockerfile() -> None:
    text = '# a comment\nARG V=3\nRUN one \\\n  # inside\n  && two\nCOPY --from=builder /a /b\nCMD ["x", "y z"]\n'
    assert parse(text) == [
        Instruction("ARG", {}, "V=3"),
        Instruction("RUN", {}, "one    && two"),
        Instruction("COPY", {"from": "builder"}, "/a /b"),
        Instruction("CMD", {}, '["x", "y z"]'),
    ]
    assert parse(text)[-1].command() == ["x", "y z"]


@pytest.mark.parametrize(
    ("path", "ignored"),
    [
        ("app/factory.py", False),
        ("app/api/__pycache__", True),
        ("models/artifacts/iris", True),
        ("models/zoo", False),
        ("tests/test_layers.py", True),
    ],
)
def test_only_what_the_image_runs_reaches_the_builder(path: str, ignored: bool) -> None:
    patterns = [
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")
    ]
    assert is_ignored(path, patterns) is ignored


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def get(url: str, body: Any = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
        request, timeout=LONG_SECONDS
    ) as reply:
        return reply.status, json.load(reply)


def wait_for(url: str, process: subprocess.Popen[str], log: Path) -> None:
    """Until it answers at all: with an empty store it is never ready."""
    deadline = time.monotonic() + LONG_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            get(url)
            return
        except urllib.error.HTTPError as error:
            with error:
                if json.load(error).get("status") != "loading":
                    return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"no answer within {LONG_SECONDS} s\n{log.read_text()}")


def ids_of(process: subprocess.Popen[str]) -> set[str]:
    """The user ids of the process and its children."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    lines = [Path(f"/proc/{pid}/status").read_text() for pid in (str(process.pid), *children)]
    return {
        uid
        for text in lines
        for line in text.splitlines()
        if line.startswith("Uid:")
        for uid in line.split()[1:]
    }
