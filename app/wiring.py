"""The composition root: builds the store, the engine and its observers from the settings, without Flask."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TextIO

from app.catalog.budget import Budget
from app.catalog.follower import Follower
from app.catalog.loading import open_served
from app.catalog.residency import Residency
from app.catalog.routing import LoadingPolicy
from app.catalog.shared import Shared
from app.catalog.snapshot import read_snapshot
from app.concurrency.forms import Concurrency, Lock, concurrency_of_this_process
from app.config import Settings
from app.credentials import read_key
from app.engine.engine import Engine
from app.host.proof import HostProver, Prover
from app.host.run_dir import make_run_dir
from app.host.workers import Slot, WorkerFile, claim_slot
from app.inference.calibration import BatchSettings
from app.inference.messages import Observer
from app.inference.model import LoadedModel
from app.monitoring.access_log import AccessLog, JsonLines
from app.monitoring.metrics import Metrics, PrometheusMetrics
from app.operations.operations import Operations
from models.record import Record
from models.store import Store

log = logging.getLogger("plumbline")

#: How often metrics are counted and the access log is written.
FLUSH_SECONDS = 0.1
#: How long a worker that shuts down waits for a blocked output to accept the last lines of the access log.
LAST_LINES_SECONDS = 2.0


@dataclass(slots=True)
class Services:
    """The services that live as long as the process.

    ``start`` opens files and loads models; ``wire`` does neither.
    """

    settings: Settings
    store: Store
    engine: Engine
    follower: Follower
    operations: Operations
    metrics: Metrics
    access_log: AccessLog
    concurrency: Concurrency
    observers: Sequence[Observer]
    _started: bool = False
    _slot: Slot | None = None
    _lock: Lock = field(init=False)

    def __post_init__(self) -> None:
        self._lock = self.concurrency.lock()

    def start(self, run_dir: Path | None = None, when_ready: Callable[[], None] = lambda: None) -> None:
        """Claim a slot, create the metrics and begin to load models.

        A second call does nothing. Raises RunDirError.
        """
        if self._started:
            return
        with self._lock:
            if not self._started:
                self._slot = claim_slot(make_run_dir(run_dir)) if run_dir is not None else None
                self.metrics.start(self._slot)
                if self._slot is not None:
                    self.follower.report = WorkerFile(self._slot).write
                self.follower.begin()
                if self.engine.snapshot.fault:
                    log.error("nothing can be served: %s", self.engine.snapshot.fault)
                self.follower.load(when_ready)
                self.follower.watch()
                self._started = True
                for flush in (self.metrics.flush, self.access_log.flush):
                    self.concurrency.spawn(partial(self._repeat, flush))

    def close(self) -> None:
        """Write what was recorded, and release the models and the slot."""
        self.follower.close()
        self.engine.close()
        if self._started:
            self._started = False
            self.metrics.flush()
            self._write_last_lines()
            self.access_log.close()
        self._started = False
        if self._slot is not None:
            self._slot.release()
            self._slot = None

    def _write_last_lines(self) -> None:
        """Write the last lines of the access log, after a write that is in progress."""
        until = self.concurrency.now() + LAST_LINES_SECONDS
        with suppress(OSError, ValueError):
            while not self.access_log.flush(LAST_LINES_SECONDS) and self.concurrency.now() < until:
                self.concurrency.pause(0.01)

    def _repeat(self, flush: Callable[[], object]) -> None:
        """Count or write what requests recorded, every FLUSH_SECONDS. Repeated failures are logged once."""
        succeeded = True
        while self._started:
            self.concurrency.pause(FLUSH_SECONDS)
            try:
                if self._started:
                    flush()
                succeeded = True
            except Exception:  # a full disk or a closed pipe: a later flush may succeed
                if succeeded:
                    log.exception("metrics or access log could not be written")
                succeeded = False


def wire(
    settings: Settings,
    shared: Shared | None = None,
    run_dir: Path | None = None,
    output: TextIO | None = None,
) -> Services:
    """Build the services. Raises ConfigError when the store's key cannot be used; no model can make it fail.

    ``shared`` holds the models that the parent process loaded. ``run_dir`` is the run directory of the
    server, None for a process without workers. ``output`` is the stream of the access log, by default
    standard output.
    """
    store = Store(settings.store, key=read_key(settings))
    concurrency = concurrency_of_this_process()
    metrics = PrometheusMetrics(concurrency.pause) if settings.metrics else Metrics()
    access_log = JsonLines(output, concurrency.pause) if settings.access_log else AccessLog()
    observers = (metrics, access_log)
    snapshot = read_snapshot(store, settings.default_model)
    policy = LoadingPolicy(settings.loading, settings.model_loading)

    def open_version(record: Record, replay: bool, awaited: Callable[[], bool]) -> LoadedModel:
        model = None if shared is None else shared.find(record)
        batching = batch_settings(settings, record.manifest.name)
        replay = replay and model is None
        return open_served(record, concurrency, batching, model, replay=replay, awaited=awaited)

    budget = Budget(settings.loaded_max_mib * 2**20, settings.pinned_models)
    prover: Prover = Prover()
    if run_dir is not None:
        load_seconds, block_seconds = settings.proof_seconds, settings.worker_timeout_seconds
        prover = HostProver(store, run_dir, load_seconds, concurrency, block_seconds)
    residency = Residency(snapshot, concurrency, open_version, observers, budget, prover)
    engine = Engine(residency, observers, concurrency, settings.default_model)
    follower = Follower(store, settings.default_model, policy, residency, prover, concurrency)
    operations = Operations(store, run_dir, prover, settings.switch_wait_seconds, concurrency, follower.check)
    return Services(
        settings, store, engine, follower, operations, metrics, access_log, concurrency, observers
    )


def batch_settings(settings: Settings, name: str) -> BatchSettings:
    """Return the batching settings of a model.

    Its own setting is ``off``, ``rows:N``, ``wait:MS`` or the last two joined by ``+``; the rest comes from
    the settings of all models.
    """
    own = dict(part.partition(":")[::2] for part in settings.model_batching.get(name, "").split("+"))
    return BatchSettings(
        on=settings.batching and "off" not in own,
        max_rows=int(own.get("rows", settings.batch_max_rows)),
        wait_ms=float(own.get("wait", settings.batch_wait_ms)),
        queue_rows=settings.queue_max_rows,
    )
