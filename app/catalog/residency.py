"""When models come into memory, when they leave it, and what state each version is in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

from app.catalog.budget import Budget, Resident
from app.catalog.loaded import Loaded, State
from app.catalog.snapshot import Catalog
from app.concurrency.forms import Concurrency
from app.host.memory import resident_bytes
from app.host.proof import NullProver, Prover
from app.inference.messages import Observer
from app.inference.model import LoadedModel
from models.compiled import ORIGINAL
from models.errors import LoadError, NotReady, PlumblineError
from models.names import Version
from models.record import Record, same_version
from models.runtimes import runtime_class

log = logging.getLogger("plumbline.serving")

#: Between two models the hub gets this long to look after its connections.
PAUSE_SECONDS = 0.005

#: Opens a version. Told whether it must give its recorded answers first, and asks now and then whether anybody waits.
Open = Callable[[Record, bool, Callable[[], bool]], LoadedModel]


@dataclass(frozen=True, slots=True)
class LoadingRule:
    """Which versions are loaded at start-up: of a model that is, those with an alias or tag or in its traffic rule, and the
    latest."""

    default: str = "startup"
    by_model: Mapping[str, str] = field(default_factory=dict)

    def at_startup(self, catalog: Catalog, target: Version) -> bool:
        """Whether the version is loaded before it is asked for."""
        when = self.by_model.get(target.name, self.default)
        return when == "startup" and catalog.model(target.name).is_wanted(target.number)


class Loader:
    """Loads each version once, whoever asks first; one that failed stays failed until it is wanted anew.

    ``tried`` : everything that is loaded at start-up has been tried.
    """

    def __init__(
        self,
        catalog: Catalog,
        rule: LoadingRule,
        concurrency: Concurrency,
        open_version: Open,
        observers: Sequence[Observer] = (),
        budget: Budget = Budget(),  # noqa: B008 - it cannot be changed
        prover: Prover | None = None,
    ) -> None:
        self._prover = prover or NullProver()
        self._budget = budget
        self._uses = count(1)
        self._rule = rule
        self._concurrency = concurrency
        self._observers = observers
        self._open = open_version
        self._versions: dict[Version, Loaded] = {}
        self.restart(catalog)

    def restart(self, catalog: Catalog) -> None:
        """Begin anew with this catalog; for as long as nothing is loaded."""
        self.catalog = catalog
        self.tried = False
        self._versions.clear()
        self._eager = self.enter(catalog)
        self.tried = not self._eager
        for target in self._eager:
            self._versions[target].state = "loading"

    def start(self, when_done: Callable[[], None] = lambda: None) -> None:
        """Begin to load what is loaded at start-up, one version after the other, beside the requests."""

        def load_all() -> None:
            for target in self._eager:
                with suppress(NotReady):  # it is recorded, and told to whoever asks for the version
                    self._awaited(target, self._versions[target], ahead=True)
                self._concurrency.pause(PAUSE_SECONDS)
            self.tried = True
            when_done()

        self._concurrency.spawn(load_all)

    def close(self) -> None:
        """Let go of every model."""
        for entry in self._versions.values():
            if entry.served is not None:
                entry.served.close()
                entry.served, entry.resident, entry.state = None, None, "lazy"

    # -- changing catalogs ----------------------------------------------------------------------------------------

    def enter(self, catalog: Catalog) -> list[Version]:
        """Make its versions known, beside those that are served; which of them are wanted in memory and are not there,
        the default model's first. A version whose number stands for other bytes by now is another version.

        Wanted are those that are loaded at start-up, and what will be routed where what is routed now is in memory.
        """
        wanted = []
        for target in catalog.targets():
            model = catalog.models[target.name]
            stored = model.whole.get(target.number)
            entry = self._versions.get(target)
            if entry is None or not same_version(entry.stored, stored):
                fault = model.faulty.get(target.number, "")
                entry = Loaded(self._concurrency.lock(), stored, fault, unproved=self.tried)
                self._versions[target] = entry
            eager = self._rule.at_startup(catalog, target) and not entry.evicted
            if entry.served is None and (eager or self._takes_over(catalog, target)):
                wanted.append(target)
        # What requests are routed to goes first, and of that the default model.
        return sorted(wanted, key=lambda t: (catalog.routed(t.name) != t, t.name != catalog.default))

    def switch(self, catalog: Catalog) -> list[Version]:
        """Serve this catalog from now on; returns the versions that leave memory, which are those that nothing names any
        more. Requests under way keep theirs until they are answered."""
        self.catalog = catalog
        there = set(catalog.targets())
        left = []
        for target, entry in list(self._versions.items()):
            named = target in there and catalog.models[target.name].is_wanted(target.number)
            if entry.served is not None and not named and catalog.routed(target.name) != target:
                left.append(target)
                self._unload(target, entry)
            if target not in there:
                del self._versions[target]
        return left

    def bring_in(self, target: Version) -> None:
        """Prove the version and load it beside the requests, also if that failed before."""
        entry = self._versions.get(target)
        if entry is None:  # deleted since it was wanted
            return
        if entry.state == "failed":
            entry.state = "lazy"
        if entry.served is None:
            entry.unproved = True
        try:
            self._brought(target, entry)
        except NotReady:  # it is recorded, and told to whoever asks for the version
            return
        if entry.resident is not None:
            entry.resident.used = 0  # nobody has asked for it yet

    # -- versions -------------------------------------------------------------------------------------------------

    def version(self, target: Version) -> LoadedModel:
        """The loaded version; the first caller loads it, the others wait for that. Raises NotReady."""
        entry = self._versions.get(target)
        if entry is None:  # deleted while the request was read
            return self.version(self.catalog.resolve(target.name, str(target.number)))
        if self._budget.max_bytes and entry.resident is not None:
            entry.resident.used = next(self._uses)
        return entry.served or self._awaited(target, entry)

    def _awaited(self, target: Version, entry: Loaded, *, ahead: bool = False) -> LoadedModel:
        """The version, for which somebody waits. ``ahead`` : no request does, and where there is no room for it others stay."""
        entry.waiting += 1
        try:
            return self._brought(target, entry, ahead)
        finally:
            entry.waiting -= 1

    def _brought(self, target: Version, entry: Loaded, ahead: bool = False) -> LoadedModel:
        """The version, once one of those that call this at the same time has loaded it; raises NotReady."""
        with entry.lock:
            if entry.served is None and entry.state != "failed":
                self._load(target, entry, ahead)
            served = entry.served
        if served is None:
            raise NotReady(f"{target} cannot be loaded; GET /ready says why")
        return served

    def status(self, target: Version) -> tuple[State, str]:
        """The state of a version, and why if it failed."""
        entry = self._versions[target]
        return entry.state, entry.reason

    def about(self, target: Version) -> Mapping[str, Any]:
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
    def faults(self) -> dict[str, str]:
        """Versions that were wanted in memory and cannot be loaded, as ``name:version``, and why."""
        return {
            str(target): entry.reason
            for target, entry in list(self._versions.items())
            if entry.state == "failed"
        }

    def _takes_over(self, catalog: Catalog, target: Version) -> bool:
        """Whether it will be routed in the place of one that is in memory now."""
        now = self.catalog.routed(target.name)
        return (
            now != target
            and catalog.routed(target.name) == target
            and now in self._versions
            and self._versions[now].served is not None
        )

    def _load(self, target: Version, entry: Loaded, ahead: bool) -> None:
        known, entry.state = entry.reason, "loading"
        began, size = self._concurrency.now(), 0
        try:
            entry.served, size = self._opened(target, entry)
            entry.state, entry.reason, entry.unproved, entry.evicted = "ready", "", False, False
        except LoadError as error:
            entry.state, entry.reason = "failed", str(error)
            if entry.reason != known:
                log.error("%s cannot be loaded: %s", target, error.in_full)
        except (Exception, SystemExit) as error:  # foreign code: whatever it raises takes nothing else down
            entry.state, entry.reason = "failed", f"{type(error).__name__} while loading"
            log.exception("%s cannot be loaded", target)
        entry.seconds = self._concurrency.now() - began
        self._tell(target, entry)
        if entry.served is not None:
            entry.resident = Resident(size, 0 if ahead else next(self._uses))
            self._make_room(None if ahead else target)

    def _opened(self, target: Version, entry: Loaded) -> tuple[LoadedModel, int]:
        """The version, and how many bytes it takes."""
        if entry.stored is None:
            raise LoadError(entry.fault)

        def awaited() -> bool:
            return entry.waiting > 0

        if entry.unproved and (why := self._prover.prove(target, entry.stored).why):
            raise LoadError(why)
        with self._prover.loading(target, entry.stored):
            manifest = entry.stored.manifest
            if manifest.form == ORIGINAL:  # a compiled one needs nothing of its original
                with suppress(ImportError):  # its library's memory is not the model's own
                    self._concurrency.in_background(partial(runtime_class, manifest.framework), awaited)
            before = resident_bytes()
            served = self._open(entry.stored, self.tried, awaited)
            # Freed memory is used again before the process grows, so the files are the least that it takes.
            files = manifest.files.values()
            return served, max(sum(file.size_bytes for file in files), resident_bytes() - before)

    def _make_room(self, arrived: Version | None) -> None:
        """Let the least recently used leave, as the budget says, and of those that nobody has used what is not routed. They
        come back when they are asked for."""
        there = sorted(self._versions.items(), key=lambda item: self.catalog.routed(item[0].name) == item[0])
        resident = {target: entry.resident for target, entry in there if entry.resident}
        for target in self._budget.leaving(resident, arrived, self._could_return):
            log.info("%s leaves memory to make room", target)
            self._unload(target, self._versions[target])
            self._versions[target].evicted = True

    def _could_return(self, target: Version) -> bool:
        """Not one whose files have gone, nor one that answers because another one cannot."""
        stored = self._versions[target].stored
        stands_in = self.catalog.stand_ins.get(target.name) == target.number
        return stored is not None and not stands_in and stored.exists()

    def _unload(self, target: Version, entry: Loaded) -> None:
        """Requests under way keep it until they are answered."""
        entry.served, entry.resident, entry.state = None, None, "lazy"
        for observer in self._observers:
            observer.loaded(target, 0.0, False)

    def _tell(self, target: Version, entry: Loaded) -> None:
        for observer in self._observers:
            observer.loaded(target, entry.seconds, entry.state == "ready")
