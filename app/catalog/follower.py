"""How a process follows the store while it serves: a new generation is noticed, its versions are proved and loaded, and only
then are requests routed by it. Whatever fails on the way is reported, and what served before serves on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace

from app.catalog.residency import Loader
from app.catalog.shared import give_back
from app.catalog.snapshot import Catalog, carried_over, read_catalog
from app.concurrency.forms import Concurrency
from app.host.proof import Prover
from models.errors import PlumblineError
from models.names import Version
from models.store import Store

log = logging.getLogger("plumbline.serving")

#: How often the store's generation is looked at: one small file.
WATCH_SECONDS = 0.2
#: How often a worker says that it lives.
HEARTBEAT_SECONDS = 1.0
#: Between two versions that are loaded or vouched for requests have their turn.
PAUSE_SECONDS = 0.001
#: So many versions are proved and loaded at once, at most: one that never comes must not keep the others out.
MOST_AT_ONCE = 4
SETTLE_SECONDS = 0.01
#: How long requests under way may keep a version that has left.
GIVE_BACK_SECONDS = 2.0


class LiveCatalog:
    """Keeps the loader's catalog in step with the store.

    Versions are loaded in greenlets or threads of their own, so that one that takes long, or never comes, holds up no other
    change: until a new stable version is there, the one that answered before answers on.

    ``on_routes`` is called with a catalog whose set of versions is another than before, once it is served. ``tell`` is told
    the generation that is served (empty before any is), what cannot be served, with the reasons, and what is still coming.
    """

    def __init__(
        self, store: Store, default_model: str, loader: Loader, prover: Prover, concurrency: Concurrency
    ) -> None:
        self._store = store
        self._default = default_model
        self._loader = loader
        self._prover = prover
        self._concurrency = concurrency
        self.on_routes: Callable[[Catalog], None] = lambda catalog: None
        self.tell: Callable[[str, Mapping[str, str], Collection[str]], None] = lambda *said: None
        self._running = False
        self._lock = concurrency.lock()
        self._read = loader.catalog
        self._routed = _versions(loader.catalog)
        self._told = self._unreadable = ""
        self._faulty: Collection[str] = ()
        #: What is to be loaded, all of it and what nobody loads yet.
        self._coming: set[Version] = set()
        self._queue: list[Version] = []
        self._bringing = 0

    def begin(self) -> None:
        """Take up, before anything is loaded, what changed since the catalog was read; say that this process has begun."""
        self._tell("")
        with suppress(PlumblineError, OSError):
            if self._store.generation() != self._loader.catalog.generation:
                catalog = read_catalog(self._store, self._default)
                if not catalog.fault:
                    self._loader.restart(catalog)
                    self._read = catalog
                    self._follow(catalog)

    def start(self) -> None:
        """Watch from now on."""
        self._running = True
        self._concurrency.spawn(self._watch)
        self._concurrency.spawn(self._beat)

    def close(self) -> None:
        """Watch no longer."""
        self._running = False

    def check(self) -> None:
        """One look at the store, and everything that follows from it, to its end."""
        self._look()
        while self._coming:
            self._concurrency.pause(SETTLE_SECONDS)
        with self._lock:  # the last of them is served
            pass

    def _look(self) -> None:
        with self._lock:
            self._check()
        while self._queue and self._bringing < MOST_AT_ONCE:
            self._bringing += 1
            self._concurrency.spawn(self._bring)

    def _check(self) -> None:
        if not self._loader.tried:
            return
        try:
            generation = self._concurrency.on_thread(self._store.generation)
            if generation != self._read.generation:
                self._update()
            elif generation != self._told:
                self._serve()
                self._vouch(self._loader.catalog)
            elif self._loader.faults.keys() != self._faulty:  # found by a request
                self._serve()
            self._unreadable = ""
        except (PlumblineError, OSError) as error:
            if str(error) != self._unreadable:
                log.error("the store cannot be read, what was read before is served: %s", error)
            self._unreadable = str(error)
            if self._told != self._read.generation:
                self._tell(self._read.generation)

    def _watch(self) -> None:
        while self._running:
            try:
                self._look()
            except Exception:
                log.exception("the store could not be followed")
            self._concurrency.pause(WATCH_SECONDS)

    def _update(self) -> None:
        """Read the store anew, and begin to serve it."""
        catalog = self._concurrency.in_background(lambda: read_catalog(self._store, self._default))
        if catalog.fault:
            raise OSError(catalog.fault)
        if catalog.generation == "0" and self._read.models:
            raise OSError("the store has gone")
        self._read = carried_over(self._read, catalog)
        self._want(self._loader.enter(self._read))
        self._serve()
        log.info("the store changed, now served: %s", self._loader.catalog.summary())

    def _want(self, targets: Iterable[Version]) -> None:
        """Load them, first those that requests are routed to."""
        for target in targets:
            if target not in self._coming:
                self._coming.add(target)
                self._queue.append(target)
        self._queue.sort(key=lambda target: not _is_routed(self._read, target))

    def _bring(self) -> None:
        """Prove and load what is wanted, one version after the other, and serve each as soon as it has been tried."""
        try:
            while self._queue:
                target = self._queue.pop(0)
                try:
                    self._loader.bring_in(target)
                finally:
                    with self._lock:  # nobody may be told that nothing is coming before it is served
                        self._coming.discard(target)
                        self._serve()
                self._concurrency.pause(PAUSE_SECONDS)
        finally:
            self._bringing -= 1

    def _serve(self) -> None:
        """Switch to what was read, as far as it can answer, and say so."""
        now = self._loader.catalog
        rules = {
            name: now.rules[name]
            for name, model in self._read.models.items()
            if name in now.rules
            and model.rule
            and self._coming & {Version(name, v) for v in model.rule.versions}
        }
        catalog = replace(self._read, stand_ins=self._stand_ins(now), held_rules=rules)
        self._faulty = self._loader.faults.keys()
        if self._loader.switch(catalog):
            self._concurrency.spawn(self._give_back)
        self._follow(catalog)
        self._tell(catalog.generation)

    def _stand_ins(self, now: Catalog) -> dict[str, int]:
        """By model, who answers in the place of a stable version that is still coming or cannot be loaded: the one that
        answers now, or else one that was stable before, which is then loaded."""
        found: dict[str, int] = {}
        for name, model in self._read.models.items():
            stable = model.selectors.get("stable")
            coming = stable is not None and Version(name, stable) in self._coming
            if stable is None or not (coming or self._loader.status(Version(name, stable))[0] == "failed"):
                continue
            before = now.routed(name)
            candidates = [before.number] if before else []
            for version in candidates if coming else [*candidates, *reversed(model.previous)]:
                target = Version(name, version)
                state = self._loader.status(target)[0] if version in model.whole else "failed"
                if version == stable or state == "failed":
                    continue
                found[name] = version
                if state != "ready":  # who asks meanwhile waits for it
                    self._want([target])
                if not coming and now.stand_ins.get(name) != version:
                    log.error("%s:%s answers in the place of version %s", name, version, stable)
                break
        return found

    def _give_back(self) -> None:
        """Return the memory of versions that have left, once their last requests are answered."""
        self._concurrency.pause(GIVE_BACK_SECONDS)
        self._concurrency.on_thread(give_back)

    def _vouch(self, catalog: Catalog) -> None:
        """What requests are routed to since the process started has proved itself, and so has what was stable before: a
        rollback may be urgent."""
        for target in catalog.targets():
            model = catalog.models[target.name]
            stored = model.whole.get(target.number)
            serves = catalog.routed(target.name) == target and self._loader.status(target)[0] == "ready"
            if stored is not None and (serves or target.number in model.previous):
                self._prover.vouch(target, stored)
                self._concurrency.pause(PAUSE_SECONDS)

    def _follow(self, catalog: Catalog) -> None:
        """Let the routes be those of the catalog."""
        versions = _versions(catalog)
        if versions != self._routed:
            self.on_routes(catalog)
            self._routed = versions

    def _beat(self) -> None:
        """Say that this process lives, also while it loads something."""
        while self._running:
            self._say(self._told)
            self._concurrency.pause(HEARTBEAT_SECONDS)

    def _tell(self, generation: str) -> None:
        self._told = generation
        self._say(generation)

    def _say(self, generation: str) -> None:
        try:
            self.tell(generation, self._loader.faults, sorted(map(str, self._coming)))
        except OSError as error:
            log.error("this worker cannot say what it serves: %s", error)


def _versions(catalog: Catalog) -> frozenset[tuple[Version, str]]:
    """Every version, and when it was published: the same number may stand for another one in a store that was replaced."""
    whole = {target: catalog.models[target.name].whole.get(target.number) for target in catalog.targets()}
    return frozenset(
        (target, stored.manifest.published_at if stored else "") for target, stored in whole.items()
    )


def _is_routed(catalog: Catalog, target: Version) -> bool:
    """Whether requests go to the version that do not name it."""
    rule = catalog.rules.get(target.name)
    return catalog.routed(target.name) == target or (rule is not None and target.number in rule.versions)
