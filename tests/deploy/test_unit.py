"""The systemd unit: systemd itself finds nothing wrong with it, and what it starts is a server that tells systemd so."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from models.store import Store
from tests.conftest import missing
from tests.end_to_end.server import ROOT, free_port

UNIT = ROOT / "deploy" / "plumbline.service"
#: Of 100; systemd calls what is below 50 "OK", and an unguarded service has 96.
MOST_EXPOSED = 30


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit as it would be if this checkout and environment were what it was written for."""
    if shutil.which("systemd-analyze") is None:
        missing("systemd-analyze is not installed: apt-get install systemd")
    text = UNIT.read_text().replace("/opt/plumbline/.venv/bin", str(Path(sys.executable).parent))
    path = tmp_path / UNIT.name
    path.write_text(text.replace("/opt/plumbline", str(ROOT)))
    return path


def analyze(*command: str) -> str:
    done = subprocess.run(["systemd-analyze", *command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_finds_nothing_to_complain_about(installed: Path) -> None:
    assert analyze("verify", "--man=no", "--recursive-errors=no", str(installed)) == ""


def test_it_is_guarded(installed: Path) -> None:
    analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", "--no-pager", str(installed))


def test_what_it_starts_says_that_it_listens(tmp_path: Path, toy_store: Store) -> None:
    """``Type=notify``, by the unit's own directory and command."""
    lines = dict(
        line.split("=", 1) for line in UNIT.read_text().splitlines() if "=" in line and line[0] != "#"
    )
    here = {"/opt/plumbline/.venv/bin": str(Path(sys.executable).parent), "/opt/plumbline": str(ROOT)}
    for name in ("ExecStart", "WorkingDirectory"):
        for path, ours in here.items():
            lines[name] = lines[name].replace(path, ours)
    port = free_port()
    env = {
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "PORT": str(port),
        "WORKERS": "1",
        "PLUMBLINE_STORE": str(toy_store.path),
        "PLUMBLINE_RUN_DIR": str(tmp_path / "run"),
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(env["NOTIFY_SOCKET"])
        systemd.settimeout(60)
        process = subprocess.Popen(
            lines["ExecStart"].split(), cwd=lines["WorkingDirectory"], env={**os.environ, **env}
        )
        try:
            assert "READY=1" in systemd.recv(1000).decode().splitlines()
            socket.create_connection(("127.0.0.1", port), 10).close()
        finally:
            process.terminate()
            assert process.wait(30) == 0
