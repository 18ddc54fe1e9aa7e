"""One virtual environment for each peer, made on demand from its pinned requirements and kept until they change.

A peer that does not install is not an error of the benchmark: it is reported as not measured, with pip's reason.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.workload import CACHE

PEERS = Path(__file__).parent / "peers"
ENVS = CACHE / "envs"
ROOT = Path(__file__).parents[1]
INSTALL_SECONDS = 1200.0
COMPLETE = ".complete"

_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
_HOST = re.compile(r"host='[^']*'")
_PATH = re.compile(r"(?<![\w.])/(?:[\w.@+-]+/)+")
_REASON = re.compile(r"^(ERROR|error|fatal|\w+(Error|Exception))\b")


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a peer's interpreter and scripts are."""

    python: Path

    @property
    def bin(self) -> Path:
        """The directory of the environment's scripts."""
        return self.python.parent

    @classmethod
    def of_this_process(cls) -> Environment:
        """The project's own environment: the one that the benchmark itself runs in."""
        return cls(Path(sys.executable))


class NotInstalled(Exception):
    """A peer's environment could not be made; the message is the reason, in one line."""


def environment_of(
    peer: str, on_step: Callable[[str], None] = lambda step: None, *, peers: Path = PEERS, envs: Path = ENVS
) -> Environment:
    """The environment of a peer, installed when it is missing or out of date; raises NotInstalled.

    ``on_step`` is told before anything that takes long. The project itself has no peer name.
    """
    if not peer:
        return Environment.of_this_process()
    pinned = requirements(peer, peers)
    home = envs / peer / digest_of(pinned)
    python = home / "bin" / "python"
    if not (home / COMPLETE).exists():
        on_step(f"installing {peer}")
        shutil.rmtree(home.parent, ignore_errors=True)
        _install(python, home, pinned)
        (home / COMPLETE).touch()
    return Environment(python)


def is_installed(peer: str) -> bool:
    """Whether ``environment_of`` would have nothing to do."""
    return not peer or (ENVS / peer / digest_of(requirements(peer)) / COMPLETE).exists()


def requirements(peer: str, peers: Path = PEERS) -> Path:
    """The file that pins everything in a peer's environment."""
    return peers / peer / "requirements.txt"


def digest_of(path: Path) -> str:
    """A short name for what a file says, and for the Python that reads it."""
    text = f"{sys.version_info[:2]}\n{path.read_text(encoding='utf-8')}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def last_reason(output: str) -> str:
    """The line of a program's output that says why it failed, without addresses and directories."""
    lines = [scrub(line) for line in output.splitlines() if line.strip()]
    said = [line for line in lines if _REASON.match(line)]
    return (said or lines or ["no reason given"])[-1]


def scrub(text: str) -> str:
    """A line that may be shown anywhere: no addresses, no directories of this machine."""
    text = _HOST.sub("host=..", _URL.sub("..", text))
    return " ".join(_PATH.sub("", text).split())[:300]


def _install(python: Path, home: Path, pinned: Path) -> None:
    venv.EnvBuilder(with_pip=True, symlinks=True).create(home)
    command = [
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-r",
        str(pinned),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise NotInstalled(f"pip did not finish in {INSTALL_SECONDS:.0f} s") from error
    if done.returncode != 0:
        raise NotInstalled(last_reason(done.stderr + done.stdout))
