"""When models come into memory, and what state each version is in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from app.serving.catalog import Catalog
from app.serving.concurrency import Concurrency, Lock
from app.serving.messages import Observer, Target
from app.serving.served import Served
from models.errors import LoadError, NotReady, PlumblineError
from models.manifest import Artifact

log = logging.getLogger("plumbline.serving")

State = Literal["lazy", "loading", "ready", "failed"]

#: Between two models the hub gets this long to look after its connections.
PAUSE_SECONDS = 0.005


@dataclass(slots=True, eq=False)
class Loaded:
    """One version in this process. ``seconds`` is how long loading it took."""

    lock: Lock
    state: State = "lazy"
    reason: str = ""
    seconds: float = 0.0
    served: Served | None = None


@dataclass(frozen=True, slots=True)
class LoadingRule:
    """Which versions are loaded at start-up: of a model that is, those with an alias or tag, and the latest."""

    default: str = "startup"
    by_model: Mapping[str, str] = field(default_factory=dict)

    def at_startup(self, catalog: Catalog, target: Target) -> bool:
        """Whether the version is loaded before it is asked for."""
        when = self.by_model.get(target.name, self.default)
        return when == "startup" and bool(catalog.model(target.name).names_of(target.version))


class Loader:
    """Loads each version once, whoever asks first; one that failed stays failed until the next restart or reload."""

    def __init__(
        self,
        catalog: Catalog,
        rule: LoadingRule,
        concurrency: Concurrency,
        open_version: Callable[[Artifact], Served],
        observers: Sequence[Observer] = (),
    ) -> None:
        self.catalog = catalog
        self._concurrency = concurrency
        self._observers = observers
        self._open = open_version
        self._versions = {target: Loaded(concurrency.lock()) for target in catalog.targets()}
        eager = [target for target in self._versions if rule.at_startup(catalog, target)]
        self._eager = sorted(eager, key=lambda target: target.name != catalog.default)
        for target in self._eager:
            self._versions[target].state = "loading"

    def start(self, when_done: Callable[[], None] = lambda: None) -> None:
        """Begin to load what is loaded at start-up, one version after the other, beside the requests."""

        def load_all() -> None:
            for target in self._eager:
                with suppress(NotReady):  # it is recorded, and told to whoever asks for the version
                    self.version(target)
                self._concurrency.pause(PAUSE_SECONDS)
            when_done()

        self._concurrency.spawn(load_all)

    def close(self) -> None:
        """Let go of every model."""
        for entry in self._versions.values():
            if entry.served is not None:
                entry.served.close()
                entry.served, entry.state = None, "lazy"

    def version(self, target: Target) -> Served:
        """The loaded version; the first caller loads it, the others wait for that. Raises NotReady."""
        entry = self._versions[target]
        if entry.served is None:
            with entry.lock:
                if entry.served is None and entry.state != "failed":
                    self._load(target, entry)
        if entry.served is None:
            raise NotReady(f"{target.name}:{target.version} cannot be loaded; GET /ready says why")
        return entry.served

    def status(self, target: Target) -> tuple[State, str]:
        """The state of a version, and why if it failed."""
        entry = self._versions[target]
        return entry.state, entry.reason

    def about(self, target: Target) -> Mapping[str, Any]:
        """How requests of the version are batched; empty as long as it is not loaded."""
        served = self._versions[target].served
        return {} if served is None else served.about()

    def model_status(self, name: str) -> tuple[State, str]:
        """The state of the version that routed requests of the model get; raises as ``Catalog.model``."""
        model = self.catalog.model(name)
        try:
            return self.status(self.catalog.resolve(name))
        except PlumblineError as error:
            return "failed", next(iter(model.faulty.values()), str(error))

    @property
    def tried(self) -> bool:
        """Whether everything that is loaded at start-up has been tried."""
        return all(self._versions[target].state != "loading" for target in self._eager)

    def _load(self, target: Target, entry: Loaded) -> None:
        entry.state = "loading"
        began = self._concurrency.now()
        try:
            entry.served = self._open(self.catalog.stored(target))
            entry.state = "ready"
        except LoadError as error:
            entry.state, entry.reason = "failed", str(error)
            log.error("%s:%s cannot be loaded: %s", target.name, target.version, error.in_full)
        except (Exception, SystemExit) as error:  # foreign code: whatever it raises takes nothing else down
            entry.state, entry.reason = "failed", f"{type(error).__name__} while loading"
            log.exception("%s:%s cannot be loaded", target.name, target.version)
        entry.seconds = self._concurrency.now() - began
        for observer in self._observers:
            observer.loaded(target, entry.seconds, entry.state == "ready")
