"""Sharing by fork: the models that a server's parent process may hold for its workers, and how it unpickles
them.

A process that forks must have no native thread: the child would inherit the locks of a thread pool without
its threads, and wait for ever. The parent therefore only unpickles, and only classes of libraries that are
known to start no thread when they are imported or unpickled. It never predicts.
"""

from __future__ import annotations

import os
from typing import Any

from models.compiled import ORIGINAL
from models.errors import LoadError
from models.manifest import Manifest
from models.record import Record
from models.runtimes import import_libraries
from models.runtimes.frameworks import FRAMEWORKS
from models.runtimes.loading import load_version
from models.runtimes.user_code import PREFIX


def shareable_packages(manifest: Manifest) -> frozenset[str]:
    """Return the packages that the version's file may name; empty if its framework is not shared or
    unknown.
    """
    row = FRAMEWORKS.get(manifest.framework)
    return frozenset() if row is None else row.shareable


def why_private(manifest: Manifest) -> str:
    """Return why each worker must load the version itself, judging by its manifest; empty if it need not."""
    if not shareable_packages(manifest):
        return f"models of the framework {manifest.framework} are not shared"
    if manifest.form != ORIGINAL:
        return "its compiled form serves it"
    if any(path.startswith(PREFIX) for path in manifest.files):
        return "it has code of its own"
    return ""


def read_shareable(record: Record) -> Any:
    """Return the version's model, unpickled but never called.

    Raises LoadError, also for a class of a package that may not be shared.
    """
    if reason := why_private(record.manifest):
        raise LoadError(reason)

    packages = shareable_packages(record.manifest)

    def refuse(package: str) -> None:
        if package not in packages:
            raise LoadError(f"it uses {package}")

    return import_libraries(record.manifest).read(record, refuse)


def try_shareable(record: Record) -> None:
    """Verify that a parent process may hold the version for its workers; raises LoadError or PredictError.

    The caller is a process that may come to harm: running foreign code reveals more than refusing it.
    """
    before, visited = native_threads(), set[str]()
    model = import_libraries(record.manifest).read(record, visited.add)
    if native_threads() > before:
        raise LoadError("loading it starts native threads")
    if foreign := visited - shareable_packages(record.manifest):
        raise LoadError(f"it uses {', '.join(sorted(foreign))}")
    load_version(record, model, verify=True)


def native_threads() -> int:
    """Return the number of threads of this process, those of C libraries included; 0 if the kernel does not
    tell.
    """
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 0
