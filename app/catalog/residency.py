"""The versions in memory: how each is loaded, how it is evicted, and the state that it is in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any, Literal

from app.catalog.budget import Budget, Resident
from app.catalog.routing import Plan, Routing, Status, as_stored
from app.catalog.snapshot import Snapshot
from app.concurrency.forms import Concurrency, Lock
from app.host.memory import resident_bytes
from app.host.proof import Prover
from app.inference.messages import Observer
from app.inference.model import LoadedModel
from models.compiled import ORIGINAL
from models.errors import LoadError, NotReady, PlumblineError
from models.names import Version
from models.record import Record, same_version
from models.runtimes import import_libraries

log = logging.getLogger("plumbline.serving")

#: A function that loads a version. The second argument is whether the version must first give its recorded
#: answers. The third is called now and then, and tells whether a client waits.
Open = Callable[[Record, bool, Callable[[], bool]], LoadedModel]
#: Why a version is loaded: the process starts, a request needs it, or the store has changed.
Cause = Literal["start", "request", "change"]
#: The state of a version, as clients see it.
State = Literal["lazy", "loading", "ready", "failed"]


@dataclass(slots=True, eq=False)
class Failed:
    """The state of a version that could not be loaded."""

    reason: str
    #: Whether the store has changed since, so that another attempt may succeed.
    is_outdated: bool = False


@dataclass(slots=True, eq=False)
class Entry:
    """One version of the store in this process."""

    #: Held while the version is loaded.
    lock: Lock
    #: The version's record, or the reason why it cannot be read.
    record: Record | str
    #: Whether the version came while the process served, and has not been loaded since.
    needs_proof: bool
    #: The one place that tells whether the version is in memory.
    state: Resident | Failed | Literal["lazy", "evicted", "loading"] = "lazy"
    #: How many requests wait until the version is loaded. A starting process counts as one.
    waiting: int = 0

    @property
    def status(self) -> Status:
        """The state's name, for a plan."""
        if isinstance(self.state, Resident):
            return "ready"
        if isinstance(self.state, Failed):
            return "outdated" if self.state.is_outdated else "failed"
        return self.state


class Residency:
    """The versions in memory. Each is loaded once, for the first request or plan that needs it."""

    def __init__(
        self,
        snapshot: Snapshot,
        concurrency: Concurrency,
        open_version: Open,
        observers: Sequence[Observer] = (),
        budget: Budget = Budget(),  # noqa: B008 - it cannot be changed
        prover: Prover | None = None,
    ) -> None:
        self._concurrency = concurrency
        self._open = open_version
        self._observers = observers
        self._budget = budget
        self._prover = prover or Prover()
        self._uses = count(1)
        self._entries: dict[Version, Entry] = {}
        self._planned: frozenset[Version] = frozenset()
        #: How many loads have failed, by which the follower notices that a request has met a failure.
        self.failures = 0
        #: Whether everything has been tried that is loaded when the process starts.
        self.is_started = False
        #: What requests are resolved by; the follower replaces it through ``apply``.
        self.routing: Routing = as_stored(snapshot)
        self.enter(snapshot, needs_proof=False)

    # -- what the follower does ---------------------------------------------------------------------------

    def enter(self, snapshot: Snapshot, *, needs_proof: bool = True) -> None:
        """Enter the versions of a snapshot, and let those that failed be tried again.

        A number that stands for other bytes than before is another version, which is not in memory.
        ``needs_proof`` tells whether new versions are verified in another process before they are loaded.
        """
        for target in snapshot.targets:
            record = snapshot.models[target.name].versions[target.number]
            entry = self._entries.get(target)
            if entry is None or not _is_same(entry.record, record):
                self._entries[target] = Entry(self._concurrency.lock(), record, needs_proof)
            elif isinstance(entry.state, Failed):
                entry.state.is_outdated = True

    def statuses(self) -> Mapping[Version, Status]:
        """Return the status of every version that this process knows."""
        return {target: entry.status for target, entry in list(self._entries.items())}

    def apply(self, plan: Plan) -> None:
        """Route by the plan from now on, and release its versions to release.

        Requests under way keep their version.
        """
        self.routing = plan.routing
        self._planned = frozenset(plan.load)
        for target in plan.release:
            self._leave(target, "lazy")
        for target in self._entries.keys() - set(plan.routing.snapshot.targets):
            del self._entries[target]

    def load(self, target: Version, cause: Cause = "change") -> None:
        """Load a version of a plan, also if that failed before. A failure becomes its state."""
        entry = self._entries.get(target)
        if entry is None:  # deleted since it was planned
            return
        if cause == "change" and not isinstance(entry.state, Resident):
            entry.needs_proof = True
        with suppress(NotReady):
            self._loaded(target, entry, cause)

    def close(self) -> None:
        """Release every model."""
        for entry in self._entries.values():
            if isinstance(entry.state, Resident):
                entry.state.model.close()
                entry.state = "lazy"

    # -- what requests and documents ask ------------------------------------------------------------------

    def model(self, target: Version) -> LoadedModel:
        """Return the loaded version.

        The first request for a version loads it, and the others wait for that. Raises NotReady.
        """
        entry = self._entries.get(target)
        if entry is None:  # deleted while the request was read
            return self.model(self.routing.snapshot.resolve(target.name, str(target.number)))
        state = entry.state
        if isinstance(state, Resident):
            if self._budget.max_bytes:
                state.used = next(self._uses)
            return state.model
        return self._loaded(target, entry, "request")

    def status(self, target: Version) -> tuple[State, str]:
        """Return the state of a version, and the reason if it failed."""
        state = self._entries[target].state
        if isinstance(state, Resident):
            return "ready", ""
        if isinstance(state, Failed):
            return "failed", state.reason
        return ("loading" if state == "loading" or target in self._planned else "lazy"), ""

    def about(self, target: Version) -> Mapping[str, Any]:
        """Return how requests of the version are batched; empty while it is not in memory."""
        state = self._entries[target].state
        return state.model.about() if isinstance(state, Resident) else {}

    def model_status(self, name: str) -> tuple[State, str]:
        """Return the state of the version that answers for the model. Raises as ``Snapshot.model``."""
        model = self.routing.snapshot.model(name)
        try:
            return self.status(self.routing.resolve(name))
        except PlumblineError as error:
            faults = filter(None, map(model.fault_of, model.versions))
            return "failed", next(faults, str(error))

    @property
    def faults(self) -> dict[str, str]:
        """The versions that could not be loaded, as ``name:version``, and the reasons."""
        states = [(target, entry.state) for target, entry in list(self._entries.items())]
        return {str(target): state.reason for target, state in states if isinstance(state, Failed)}

    # -- loading ------------------------------------------------------------------------------------------

    def _loaded(self, target: Version, entry: Entry, cause: Cause) -> LoadedModel:
        """Return the version, which one of several concurrent calls loads. Raises NotReady."""
        waits = cause != "change"
        entry.waiting += waits
        try:
            with entry.lock:
                is_over = isinstance(entry.state, Failed) and cause != "change"
                if not (isinstance(entry.state, Resident) or is_over):
                    self._load(target, entry, cause)
                state = entry.state
        finally:
            entry.waiting -= waits
        if isinstance(state, Resident):
            return state.model
        raise NotReady(f"{target} cannot be loaded; GET /ready says why")

    def _load(self, target: Version, entry: Entry, cause: Cause) -> None:
        known = entry.state.reason if isinstance(entry.state, Failed) else ""
        entry.state = "loading"
        start = self._concurrency.now()
        try:
            model, size_bytes = self._opened(target, entry, cause)
        except LoadError as error:
            entry.state = Failed(str(error))
            if entry.state.reason != known:
                log.error("%s cannot be loaded: %s", target, error.in_full)
        except (Exception, SystemExit) as error:  # foreign code, whose errors must not stop the loop
            entry.state = Failed(f"{type(error).__name__} while loading")
            log.exception("%s cannot be loaded", target)
        else:
            entry.state = Resident(model, size_bytes, next(self._uses) if cause == "request" else 0)
            entry.needs_proof = False
        is_ready = isinstance(entry.state, Resident)
        self.failures += not is_ready
        self._tell(target, self._concurrency.now() - start, is_ready)
        if is_ready:
            self._make_room(None if cause == "start" else target)

    def _opened(self, target: Version, entry: Entry, cause: Cause) -> tuple[LoadedModel, int]:
        """Load the version; return it and its size in bytes. Raises LoadError, or errors of foreign code."""
        record = entry.record
        if isinstance(record, str):
            raise LoadError(record)

        def is_awaited() -> bool:
            return entry.waiting > 0

        if entry.needs_proof and (reason := self._prover.prove(target, record).reason):
            raise LoadError(reason)
        with self._prover.loading(target, record):
            manifest = record.manifest
            if manifest.form == ORIGINAL:
                # Imported before the measurement, because the memory of libraries is not the model's.
                with suppress(ImportError):
                    self._concurrency.in_background(partial(import_libraries, manifest), is_awaited)
            before = resident_bytes()
            model = self._open(record, self.is_started, is_awaited)
            # The process may reuse freed memory instead of growing, so the size of the files is the minimum.
            files = manifest.files.values()
            return model, max(sum(file.size_bytes for file in files), resident_bytes() - before)

    def _make_room(self, arrived: Version | None) -> None:
        """Evict versions as the budget says; of those never used, the ones that are not routed come first."""
        states = [(target, entry.state) for target, entry in list(self._entries.items())]
        states.sort(key=lambda item: self.routing.targets.get(item[0].name) == item[0])
        residents = {target: state for target, state in states if isinstance(state, Resident)}
        for target in self._budget.leaving(residents, arrived, self._may_leave):
            log.info("%s is evicted to free memory", target)
            self._leave(target, "evicted")

    def _may_leave(self, target: Version) -> bool:
        """Return whether the version could be loaded again, and does not stand in for another one."""
        record = self._entries[target].record
        stands_in = self.routing.stand_ins.get(target.name) == target
        return not isinstance(record, str) and not stands_in and record.exists()

    def _leave(self, target: Version, state: Literal["lazy", "evicted"]) -> None:
        entry = self._entries[target]
        if isinstance(entry.state, Resident):
            entry.state = state
            self._tell(target, 0.0, False)

    def _tell(self, target: Version, seconds: float, is_ready: bool) -> None:
        for observer in self._observers:
            observer.loaded(target, seconds, is_ready)


def _is_same(one: Record | str, other: Record | str) -> bool:
    """Return whether both are the same version. Unreadable versions are equal if their reasons are."""
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return same_version(one, other)
