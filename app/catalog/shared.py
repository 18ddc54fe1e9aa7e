"""Models that exist once for all workers: the parent process unpickles them before it forks, and workers adopt them.

Pages of memory are copied when they are written to. What a worker writes to when it predicts are reference counts, which
lie in the Python objects; the arrays behind them, which are what makes a model large, stay shared.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.catalog.routing import LoadingPolicy
from app.catalog.snapshot import Snapshot
from app.host.trial import try_out
from models.errors import LoadError
from models.manifest import Manifest
from models.names import Version
from models.record import Record
from models.runtimes.shareable import native_threads, read_shareable, why_private
from models.store import Store

log = logging.getLogger("plumbline.serving")

OOM_SCORE = Path("/proc/self/oom_score_adj")


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What the parent knows of a version with this manifest: its model, or why no worker is to load it either."""

    manifest: Manifest
    model: Any = None
    refusal: str = ""


class Shared:
    """What came through the fork. The parent refreshes it; each worker has it as it was when the worker was forked."""

    def __init__(self) -> None:
        self._found: dict[Version, Found] = {}
        self._since = time.time()

    def refresh(
        self,
        store: Store,
        snapshot: Snapshot,
        policy: LoadingPolicy,
        seconds: float,
        give_up: Callable[[], bool] = lambda: False,
    ) -> None:
        """In the parent: drop what is no longer loaded at start-up, try and load what is new. Raises nothing for a model.

        ``seconds`` : how long a version may take when it is tried. ``give_up`` : asked now and then whether to stop.
        """
        wanted = {
            target: record
            for target in snapshot.targets
            if (record := snapshot.models[target.name].record(target.number))
            and policy.loads_ahead(snapshot, target)
        }
        # Out of the frozen generation, or nothing that is dropped here would be collected.
        gc.unfreeze()
        self._found = {
            target: found
            for target, found in self._found.items()
            if found.model is not None and target in wanted and wanted[target].manifest == found.manifest
        }
        gc.collect()
        new = []
        for target, record in wanted.items():
            if why := why_private(record.manifest):
                self._leave(target, why, logging.INFO)
            elif target not in self._found:
                new.append(target)
        for verdict in try_out(store, new, seconds, give_up):
            target, record = verdict.target, wanted[verdict.target]
            if verdict.fatal:
                log.error("%s is not loaded: %s", target, verdict.why)
                self._found[target] = Found(record.manifest, refusal=verdict.why)
            elif verdict.why:
                self._leave(target, verdict.why)
            else:
                self._load(target, record)
        if self._found and native_threads() != 1:
            log.error("no model is shared: the parent process has %s threads", native_threads())
            self._found = {t: f for t, f in self._found.items() if f.refusal}
        gc.collect()
        give_back()
        # Workers' collections would write to every object that they look at, and so copy its page.
        gc.freeze()

    def find(self, record: Record) -> Any:
        """In a worker: the version's model, or None when the worker must load it; raises LoadError when it must not.

        A version that was deleted and published anew has another manifest, and is not found.
        """
        manifest = record.manifest
        found = self._found.get(manifest.key)
        if found is None or found.manifest != manifest:
            return None
        if found.refusal:
            raise LoadError(f"{found.refusal} when it was tried")
        return found.model

    def begin_worker(self) -> None:
        """In a worker, after the fork: it takes leave of what it has in common with the others."""
        np.random.seed()  # NumPy's global generator is copied by a fork
        # When memory runs out, the kernel is to end a worker, which is replaced, and not the parent, which is as large.
        with suppress(OSError, ValueError):
            score = int(OOM_SCORE.read_text())
            OOM_SCORE.write_text(str(min(score + 100, 1000)))

    def changed_code(self, root: Path) -> list[str]:
        """The files below ``root`` that this process imported and that were changed since: workers inherit the old ones."""
        files = {
            Path(file) for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))
        }
        ours = (file for file in files if file.is_relative_to(root) and file.is_file())
        return sorted(
            str(file.relative_to(root))
            for file in ours
            if "site-packages" not in file.parts and file.stat().st_mtime > self._since
        )

    def _load(self, target: Version, record: Record) -> None:
        try:
            self._found[target] = Found(record.manifest, read_shareable(record))
            log.info("%s is shared by all workers", target)
        except LoadError as error:
            self._leave(target, error.in_full)
        except (Exception, SystemExit) as error:  # foreign code
            self._leave(target, f"{type(error).__name__} while loading")

    def _leave(self, target: Version, why: str, level: int = logging.WARNING) -> None:
        log.log(level, "%s is not shared, each worker loads it: %s", target, why)


def give_back() -> None:
    """Return freed memory to the kernel: what is freed between two things that stay is kept otherwise."""
    with suppress(AttributeError, OSError):  # a C library without it
        ctypes.CDLL(None).malloc_trim(0)
