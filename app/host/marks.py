"""Marks of loads in progress, by which other processes recognise a version that crashed its process.

A mark is an empty file in the run directory, named after the verdict of the version and the loading process.
gunicorn's parent process uses this module too, so it imports nothing heavy and is not a part of ``proof``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

DIRECTORY = "proofs"


@contextmanager
def marked(verdict: Path) -> Iterator[None]:
    """Keep a mark while this process loads the version that the verdict file belongs to.

    The file itself need not exist.
    """
    mark = verdict.with_suffix(f".{os.getpid()}")
    mark.touch()
    try:
        yield
    finally:
        mark.unlink(missing_ok=True)


def crashed_loads(verdict: Path) -> list[Path]:
    """Return the marks of processes that died while they loaded the version, and delete outdated ones.

    A mark is outdated when the verdict was written after it.
    """
    written_ns = verdict.stat().st_mtime_ns if verdict.exists() else 0
    crashed = []
    for mark in verdict.parent.glob(f"{verdict.stem}.*"):
        if mark.suffix[1:].isdigit() and not Path("/proc", mark.suffix[1:]).exists():
            with suppress(FileNotFoundError):
                # The file system's clock ticks in milliseconds, so an equal time may be a later one.
                if mark.stat().st_mtime_ns >= written_ns:
                    crashed.append(mark)
                else:
                    mark.unlink()
    return crashed


def forget(run_dir: Path, pid: int) -> None:
    """Delete the marks of a process that exits in an orderly way, so that they do not count as crashes."""
    for mark in (run_dir / DIRECTORY).glob(f"*.{pid}"):
        mark.unlink(missing_ok=True)
