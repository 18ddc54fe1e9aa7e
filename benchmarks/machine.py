"""What a result was measured on, and with which code."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.environments import PEERS, ROOT


def machine() -> dict[str, Any]:
    """Processor, memory and versions, as the report's header shows them."""
    cpu = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        "",
    )
    kib = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(kib / 2**20, 1),
        "kernel": platform.release().split("-")[0],
        "python": platform.python_version(),
        "wrk": _said("wrk", "-v").split("[")[0].replace("wrk", "").strip(),
    }


def commit() -> dict[str, Any]:
    """The checked-out commit, and whether anything differs from it."""
    return {
        "commit": _said("git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD").strip(),
        "dirty": bool(
            _said("git", "-C", str(ROOT), "status", "--porcelain", "--", "app", "models", "schemas").strip()
        ),
    }


def digest_of_peer(peer: str) -> str:
    """SHA-256 over the names and bytes of a peer's files; empty for this project, whose commit says it."""
    if not peer:
        return ""
    digest = hashlib.sha256()
    for file in sorted((PEERS / peer).rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            digest.update(file.relative_to(PEERS).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def direct_versions(peer: str) -> dict[str, str]:
    """The pins that an arm's requirements name first, up to the line that begins what those need in turn."""
    path = PEERS / peer / "requirements.txt" if peer else ROOT / "requirements.txt"
    found: dict[str, str] = {}
    for line in path.read_text().splitlines():
        if found and line.startswith("#"):
            break
        name, pinned, version = line.partition("==")
        if pinned:
            found[name.split("[")[0].strip()] = version.split()[0]
    return found


def rfc3339(moment: datetime) -> str:
    """UTC, to the second."""
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""
