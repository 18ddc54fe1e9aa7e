"""Which versions a process is loading: marks in the run directory, found by others when the process dies of it.

gunicorn's parent process uses this too, so it imports nothing heavy.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

DIRECTORY = "proofs"


@contextmanager
def marked(verdict: Path) -> Iterator[None]:
    """While this process loads the version whose verdict lies in this file, if there is one."""
    mark = verdict.with_suffix(f".{os.getpid()}")
    mark.touch()
    try:
        yield
    finally:
        mark.unlink(missing_ok=True)


def left_by_the_dead(verdict: Path) -> list[Path]:
    """Marks of processes that died while they loaded the version, since its verdict was given; older ones are deleted."""
    given = verdict.stat().st_mtime_ns if verdict.exists() else 0
    found = []
    for mark in verdict.parent.glob(f"{verdict.stem}.*"):
        if mark.suffix[1:].isdigit() and not Path("/proc", mark.suffix[1:]).exists():
            with suppress(FileNotFoundError):
                # A clock tick of the file system is milliseconds long, so the same moment may be after it.
                if mark.stat().st_mtime_ns >= given:
                    found.append(mark)
                else:
                    mark.unlink()
    return found


def forget(run_dir: Path, pid: int) -> None:
    """Delete the marks of a process that ends as it should, whatever it was loading."""
    for mark in (run_dir / DIRECTORY).glob(f"*.{pid}"):
        mark.unlink(missing_ok=True)
