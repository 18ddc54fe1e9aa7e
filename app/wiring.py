"""How the parts are put together: from settings to a store, an engine and its observers. No Flask here."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from app.config import Settings, read_key
from app.monitoring.metrics import Metrics, NullMetrics, PrometheusMetrics
from app.serving.catalog import read_catalog
from app.serving.concurrency import Threads
from app.serving.engine import Engine
from app.serving.loader import Loader, LoadingRule
from models.store import Store

log = logging.getLogger("plumbline")


@dataclass(slots=True)
class Services:
    """What lives as long as the process. Wiring opens nothing and loads nothing: ``start`` does."""

    settings: Settings
    store: Store
    engine: Engine
    metrics: Metrics
    _started: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, run_dir: Path | None = None, when_ready: Callable[[], None] = lambda: None) -> None:
        """Open the metrics and begin to load models; does nothing the second time."""
        if self._started:
            return
        with self._lock:
            if not self._started:
                self.metrics.start(run_dir)
                if self.engine.catalog.fault:
                    log.error("nothing can be served: %s", self.engine.catalog.fault)
                self.engine.start(when_ready)
                self._started = True

    def close(self) -> None:
        """Let go of models and metrics."""
        self.engine.close()
        self.metrics.close()
        self._started = False


def wire(settings: Settings) -> Services:
    """Raises ConfigError when the store's key cannot be used; never fails for a model."""
    store = Store(settings.store, key=read_key(settings))
    metrics: Metrics = PrometheusMetrics() if settings.metrics else NullMetrics()
    concurrency = Threads()
    observers = (metrics,)
    catalog = read_catalog(store, settings.default_model)
    rule = LoadingRule(settings.loading, settings.model_loading)
    engine = Engine(Loader(catalog, rule, concurrency, observers), concurrency, observers)
    return Services(settings, store, engine, metrics)
