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
    """The outcome of a load in the parent process."""

    manifest: Manifest
    #: The loaded model, which workers use.
    model: Any = None
    #: Why no worker may load the version either.
    refusal: str = ""


class Shared:
    """The models of the parent process. Each worker has the state at its fork."""

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
        """Try and load the new versions, and drop those that no worker loads ahead. Called in the parent.

        ``seconds`` limits the trial of a version. ``give_up`` is called now and then, and ends the trials by
        returning True. A model that fails is left out, without an error.
        """
        wanted = {
            target: record
            for target in snapshot.targets
            if (record := snapshot.models[target.name].record(target.number))
            and policy.loads_ahead(snapshot, target)
        }
        # Otherwise the models that are dropped next would stay in the frozen generation.
        gc.unfreeze()
        self._attempts = {
            target: attempt
            for target, attempt in self._attempts.items()
            if attempt.model is not None and target in wanted and wanted[target].manifest == attempt.manifest
        }
        gc.collect()
        new = []
        for target, record in wanted.items():
            if reason := why_private(record.manifest):
                self._leave(target, reason, logging.INFO)
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
        # A garbage collection in a worker would write to every object, and so copy its page.
        gc.freeze()

    def find(self, record: Record) -> Any:
        """Return the version's model, or None for one that the worker loads itself. Called in a worker.

        A version that was deleted and published again has another manifest, so it never gets the old model.
        Raises LoadError for a version that must not be loaded.
        """
        manifest = record.manifest
        attempt = self._attempts.get(manifest.key)
        if attempt is None or attempt.manifest != manifest:
            return None
        if attempt.refusal:
            raise LoadError(f"{attempt.refusal} when it was tried")
        return attempt.model

    def begin_worker(self) -> None:
        """Reseed NumPy and raise the OOM score. Called in each worker after the fork."""
        np.random.seed()  # NumPy's global generator is copied by a fork
        # When memory runs out the kernel ends a worker, which is replaced, before the parent, which is as
        # large.
        with suppress(OSError, ValueError):
            score = int(OOM_SCORE.read_text())
            OOM_SCORE.write_text(str(min(score + 100, 1000)))

    def changed_code(self, root: Path) -> list[str]:
        """Return the files below ``root`` that changed since their import: workers inherit the old code."""
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

    def _leave(self, target: Version, reason: str, level: int = logging.WARNING) -> None:
        log.log(level, "%s is not shared, each worker loads it: %s", target, reason)


def give_back() -> None:
    """Return freed memory to the kernel, including blocks between others that are in use."""
    with suppress(AttributeError, OSError):  # a C library without it
        ctypes.CDLL(None).malloc_trim(0)
