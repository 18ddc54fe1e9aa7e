"""Where a version is written before it has a number, and how what a publisher left there is removed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.store.files import Files

STAGING = ".staging-"


@contextmanager
def staged(files: Files, store: Path, name: str) -> Iterator[Path]:
    """A directory for a version of the model, which must be renamed to stay; it is locked as long as its publisher lives.

    Leftovers go before something is written and after, also when there was no room for it.
    """
    collect_leftovers(files, store)
    files.make_dir(store / name)
    staging = store / name / f"{STAGING}{os.getpid()}-{os.urandom(4).hex()}"
    try:
        with files.locked(staging.with_name(f"{staging.name}.lock")):
            yield staging
    finally:
        collect_leftovers(files, store)


def put_aside(files: Files, version: Path) -> Path:
    """Take a version out of sight before it is deleted, which is more than one step; where it is now."""
    aside = version.with_name(f"{STAGING}deleted-{version.name}-{os.urandom(4).hex()}")
    files.rename(version, aside)
    return aside


def collect_leftovers(files: Files, store: Path) -> None:
    """Remove what publishers of any model left behind that died or found the disk full: their locks are free."""
    for lock in store.glob(f"*/{STAGING}*.lock"):
        with files.locked(lock, wait=False) as free:
            if free:
                files.remove_tree(lock.with_suffix(""))
                files.remove_file(lock)
    for deleted in store.glob(f"*/{STAGING}deleted-*"):
        files.remove_tree(deleted)
