"""Models that exist once for all workers: the parent process unpickles them before it forks.

The kernel copies a page of memory when it is written to. A prediction writes to reference counts, which lie
in the Python objects. The arrays behind them, which make a model large, stay shared.
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
class Attempt:
    """What became of a version in the parent process.

    model: the loaded model, which workers use.
    refusal: why no worker may load the version either.
    """

    manifest: Manifest
    model: Any = None
    refusal: str = ""


class Shared:
    """The models of the parent process. Each worker has them as they were when the worker was forked."""

    def __init__(self) -> None:
        self._attempts: dict[Version, Attempt] = {}
        self._since = time.time()

    def refresh(
        self,
        store: Store,
        snapshot: Snapshot,
        policy: LoadingPolicy,
        seconds: float,
        give_up: Callable[[], bool] = lambda: False,
    ) -> None:
        """In the parent: try and load the versions that are new, and drop those that no worker loads ahead.

        A model that fails raises nothing here.

        seconds: how long a version may take when it is tried.
        give_up: tells whether to stop, and is called now and then.
        """
        wanted = {
            target: record
            for target in snapshot.targets
            if (record := snapshot.models[target.name].record(target.number))
            and policy.loads_ahead(snapshot, target)
        }
        # Out of the frozen generation, or nothing that is dropped here would be collected.
        gc.unfreeze()
        self._attempts = {
            target: attempt
            for target, attempt in self._attempts.items()
            if attempt.model is not None and target in wanted and wanted[target].manifest == attempt.manifest
        }
        gc.collect()
        new = []
        for target, record in wanted.items():
            if why := why_private(record.manifest):
                self._leave(target, why, logging.INFO)
            elif target not in self._attempts:
                new.append(target)
        for verdict in try_out(store, new, seconds, give_up):
            target, record = verdict.target, wanted[verdict.target]
            if verdict.fatal:
                log.error("%s is not loaded: %s", target, verdict.reason)
                self._attempts[target] = Attempt(record.manifest, refusal=verdict.reason)
            elif verdict.reason:
                self._leave(target, verdict.reason)
            else:
                self._load(target, record)
        if self._attempts and native_threads() != 1:
            log.error("no model is shared: the parent process has %s threads", native_threads())
            self._attempts = {
                target: attempt for target, attempt in self._attempts.items() if attempt.refusal
            }
        gc.collect()
        give_back()
        # Workers' collections would write to every object that they look at, and so copy its page.
        gc.freeze()

    def find(self, record: Record) -> Any:
        """In a worker: the version's model, or None for one that the worker loads itself.

        Raises LoadError for a version that must not be loaded. One that was deleted and published anew has
        another manifest, and none of the old model.
        """
        manifest = record.manifest
        attempt = self._attempts.get(manifest.key)
        if attempt is None or attempt.manifest != manifest:
            return None
        if attempt.refusal:
            raise LoadError(f"{attempt.refusal} when it was tried")
        return attempt.model

    def begin_worker(self) -> None:
        """In a worker, after the fork: give it its own random numbers and a higher OOM score."""
        np.random.seed()  # NumPy's global generator is copied by a fork
        # When memory runs out the kernel ends a worker, which is replaced, before the parent, which is as
        # large.
        with suppress(OSError, ValueError):
            score = int(OOM_SCORE.read_text())
            OOM_SCORE.write_text(str(min(score + 100, 1000)))

    def changed_code(self, root: Path) -> list[str]:
        """The files below ``root`` that changed since they were imported: workers inherit the old code."""
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
            self._attempts[target] = Attempt(record.manifest, read_shareable(record))
            log.info("%s is shared by all workers", target)
        except LoadError as error:
            self._leave(target, error.in_full)
        except (Exception, SystemExit) as error:  # foreign code
            self._leave(target, f"{type(error).__name__} while loading")

    def _leave(self, target: Version, why: str, level: int = logging.WARNING) -> None:
        log.log(level, "%s is not shared, each worker loads it: %s", target, why)


def give_back() -> None:
    """Return freed memory to the kernel, also what lies between two blocks that are in use."""
    with suppress(AttributeError, OSError):  # a C library without it
        ctypes.CDLL(None).malloc_trim(0)
