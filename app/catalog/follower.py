"""The loop by which a process follows its store: it reads a snapshot, plans, acts on the plan and reports.

New versions are verified and loaded before requests are routed to them. If that fails, the failure is
reported, and the routing before it stays.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import partial

from app.catalog.residency import Residency
from app.catalog.routing import LoadingPolicy, Plan, Routing, as_stored, plan
from app.catalog.shared import give_back
from app.catalog.snapshot import Snapshot, carry_over, read_snapshot
from app.concurrency.forms import Concurrency
from app.host.proof import Prover
from models.errors import PlumblineError
from models.names import Version
from models.store import Store

log = logging.getLogger("plumbline.serving")

#: How often the store's generation is read, which is one small file.
WATCH_SECONDS = 0.2
#: How often a worker reports that it lives.
HEARTBEAT_SECONDS = 1.0
#: The pause between two loads, in which requests are handled: while the process starts, and later.
START_PAUSE_SECONDS, PAUSE_SECONDS = 0.005, 0.001
#: How many versions are verified and loaded at once, at most, so that one that hangs does not block others.
MOST_AT_ONCE = 4
SETTLE_SECONDS = 0.01
#: How long requests under way may keep a version that has left.
GIVE_BACK_SECONDS = 2.0


class Follower:
    """The follower of one store, which keeps the routing of its process up to date.

    Each version is loaded in its own greenlet or thread. A version that takes long, or hangs, delays no other
    change: until a new stable version is in memory, the previous one answers.
    """

    def __init__(
        self,
        store: Store,
        default_model: str,
        policy: LoadingPolicy,
        residency: Residency,
        prover: Prover,
        concurrency: Concurrency,
    ) -> None:
        self._store = store
        self._default = default_model
        self._policy = policy
        self._residency = residency
        self._prover = prover
        self._concurrency = concurrency
        #: Called with a snapshot whose versions differ from the previous one's, once it is served.
        self.on_versions: Callable[[Snapshot], None] = lambda snapshot: None
        #: Called with the generation that is served (empty until the process has started), the versions that
        #: cannot be loaded, with the reasons, and those that are still to be loaded.
        self.report: Callable[[str, Mapping[str, str], Collection[str]], None] = lambda *state: None
        self._is_watching = False
        #: Held while a plan is made and carried out, and while the next version to load is chosen.
        self._lock = concurrency.lock()
        self._plan = Plan(residency.routing)
        #: The versions of this plan or an earlier one that are being loaded.
        self._under_way: set[Version] = set()
        #: The last snapshot that was planned for, acted on and announced.
        self._served = residency.routing.snapshot
        #: ``Residency.failures`` when the plan was made.
        self._failures = 0
        #: Why the store could not be read at the last look; it is logged once.
        self._fault = ""

    # -- start and end ------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Report that the process runs, read the store again if it has changed, and plan the start."""
        self._report()
        snapshot = self._residency.routing.snapshot
        with suppress(PlumblineError, OSError):
            if self._store.generation() != snapshot.generation:
                read = read_snapshot(self._store, self._default)
                if not read.fault:
                    snapshot = read
                    self._residency.enter(snapshot, needs_proof=False)
                    self._residency.routing = as_stored(snapshot)
        self._serve(snapshot)
        self._residency.is_started = not self._plan.load

    def load(self, when_loaded: Callable[[], None] = lambda: None) -> None:
        """Load the versions that are planned for the start, one after the other, in the background.

        ``when_loaded`` is called once all have been tried, when stand-ins answer for those that failed.
        """
        self._concurrency.spawn(partial(self._load_all, when_loaded))

    def watch(self) -> None:
        """Look at the store and report periodically, until ``close``."""
        self._is_watching = True
        self._concurrency.spawn(partial(self._repeat, self.look, WATCH_SECONDS))
        self._concurrency.spawn(partial(self._repeat, self._report, HEARTBEAT_SECONDS))

    def close(self) -> None:
        """Stop watching."""
        self._is_watching = False

    def _load_all(self, when_loaded: Callable[[], None]) -> None:
        for target in self._plan.load:
            self._residency.load(target, "start")
            self._concurrency.pause(START_PAUSE_SECONDS)
        try:
            with self._lock:
                self._residency.is_started = True
                self._serve(self._residency.routing.snapshot)
            self._vouch(self._residency.routing)
            self.check()
        except Exception:
            log.exception("the store could not be followed")
        when_loaded()

    def _vouch(self, routing: Routing) -> None:
        """Record as verified the versions that serve since the start, and those that were stable before.

        A rollback to one of them then does not wait for its verification.
        """
        statuses = self._residency.statuses()
        for target in routing.snapshot.targets:
            model = routing.snapshot.models[target.name]
            record = model.record(target.number)
            serves = routing.targets.get(target.name) == target and statuses.get(target) == "ready"
            if record is not None and (serves or target.number in model.previous):
                self._prover.vouch(target, record)
                self._concurrency.pause(PAUSE_SECONDS)

    def _repeat(self, step: Callable[[], None], seconds: float) -> None:
        while self._is_watching:
            try:
                step()
            except Exception:
                log.exception("the store could not be followed")
            self._concurrency.pause(seconds)

    # -- read, plan, act, report --------------------------------------------------------------------------

    def check(self) -> None:
        """Look at the store, and wait until its changes are served."""
        self.look()
        while self._residency.is_started and (self._plan.load or self._under_way):
            self._concurrency.pause(SETTLE_SECONDS)
        with self._lock:  # the last of them is served
            pass

    def look(self) -> None:
        """Check whether the store has changed or a request has met a failure, and act on it.

        Before the process has started this does nothing. A store that cannot be read changes nothing.
        """
        if not self._residency.is_started:
            return
        with self._lock:
            snapshot = self._residency.routing.snapshot
            try:
                generation = self._concurrency.on_thread(self._store.generation)
                if generation != snapshot.generation:
                    self._serve(self._read(snapshot))
                    log.info("the store changed, now served: %s", self._plan.routing.summary())
                elif snapshot is not self._served or self._residency.failures != self._failures:
                    self._serve(snapshot)
                self._fault = ""
            except (PlumblineError, OSError) as error:
                if str(error) != self._fault:
                    log.error("the store cannot be read, its last state is served: %s", error)
                self._fault = str(error)
        self._begin_loads()

    def _read(self, before: Snapshot) -> Snapshot:
        """Read the store, and enter its versions. Raises OSError when it cannot be read."""
        snapshot = self._concurrency.in_background(lambda: read_snapshot(self._store, self._default))
        if snapshot.fault:
            raise OSError(snapshot.fault)
        if snapshot.generation == "0" and before.models:
            raise OSError("the store is missing")
        snapshot = carry_over(before, snapshot)
        self._residency.enter(snapshot)
        return snapshot

    def _serve(self, snapshot: Snapshot) -> None:
        """Plan, apply the plan, announce a change of versions, and report."""
        residency, before = self._residency, self._residency.routing
        self._failures = residency.failures
        self._plan = plan(snapshot, residency.statuses(), self._under_way, before, self._policy)
        residency.apply(self._plan)
        self._log_stand_ins(before, self._plan.routing)
        if self._plan.release:
            self._concurrency.spawn(self._give_back)
        if snapshot is not self._served and _identities(snapshot) != _identities(self._served):
            self.on_versions(snapshot)
        self._served = snapshot
        self._report()

    def _begin_loads(self) -> None:
        """Start the planned loads, up to MOST_AT_ONCE at once."""
        while (target := self._next()) is not None:
            self._concurrency.spawn(partial(self._bring, target))

    def _next(self) -> Version | None:
        with self._lock:
            waiting = (target for target in self._plan.load if target not in self._under_way)
            target = next(waiting, None) if len(self._under_way) < MOST_AT_ONCE else None
            if target is not None:
                self._under_way.add(target)
            return target

    def _bring(self, target: Version) -> None:
        """Verify and load a version, and plan again with its new state."""
        try:
            self._residency.load(target)
        finally:
            with self._lock:
                self._under_way.discard(target)
                self._serve(self._residency.routing.snapshot)
        self._concurrency.pause(PAUSE_SECONDS)
        self._begin_loads()

    def _log_stand_ins(self, before: Routing, now: Routing) -> None:
        for name, target in now.stand_ins.items():
            stable = now.snapshot.models[name].stable
            if before.stand_ins.get(name) != target and stable not in {*self._plan.load, *self._under_way}:
                log.error("%s answers in place of %s", target, stable)

    def _give_back(self) -> None:
        """Return the memory of released versions, once their last requests are answered."""
        self._concurrency.pause(GIVE_BACK_SECONDS)
        self._concurrency.on_thread(give_back)

    def _report(self) -> None:
        generation = self._served.generation if self._residency.is_started else ""
        coming = sorted(map(str, {*self._plan.load, *self._under_way}))
        try:
            self.report(generation, self._residency.faults, coming)
        except OSError as error:
            log.error("this worker cannot report what it serves: %s", error)


def _identities(snapshot: Snapshot) -> Collection[tuple[Version, str]]:
    """Return every version with its time of publication.

    After a restore of the store, the number of a version may stand for another one.
    """
    records = {target: snapshot.models[target.name].record(target.number) for target in snapshot.targets}
    return {(target, record.manifest.published_at if record else "") for target, record in records.items()}
