"""What an operator does to a running server, in one place for the command line and for /admin.

Each verb proves what it is about to let answer, changes the store once, and returns when every worker of this host serves
the change, or when it has waited long enough. Workers of other hosts follow by themselves and are not waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from app.concurrency.forms import Concurrency
from app.host.proof import Prover
from app.host.workers import WorkerState, living_workers, wait_for_workers
from models.errors import Conflict
from models.names import Version
from models.store import Store, lifecycle
from models.store.lifecycle import Changed
from models.traffic import Rule, read_rule


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a verb. ``switched`` and ``missing`` : the workers of this host that serve the change, and those that did
    not in time; ``refused`` : by slot, why a worker that follows cannot serve the version itself."""

    changed: Changed
    switched: Sequence[WorkerState] = ()
    missing: Sequence[WorkerState] = ()
    refused: Mapping[int, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every worker of this host serves the change."""
        return not (self.missing or self.refused)

    def to_json(self, now: float) -> dict[str, Any]:
        """As data; ``now`` : Unix time, from which the missing ones' last sign of life is counted."""
        return {
            **asdict(self.changed),
            "complete": self.complete,
            "workers": len(self.switched) + len(self.missing),
            "switched": [{"slot": worker.slot, "pid": worker.pid} for worker in self.switched],
            "missing": [
                {
                    "slot": worker.slot,
                    "pid": worker.pid or None,
                    "generation": worker.generation or None,
                    "silent_seconds": round(now - worker.seen, 1) if worker.seen else None,
                }
                for worker in self.missing
            ],
            "refused": [{"slot": slot, "reason": why} for slot, why in sorted(self.refused.items())],
        }


class Verbs:
    """``run_dir`` : where the workers of this host's server meet; ``wait_seconds`` : for them, at most. Without workers
    ``follow`` is called after a change, so that this process serves it."""

    def __init__(
        self,
        store: Store,
        run_dir: Path | None,
        prover: Prover,
        wait_seconds: float,
        concurrency: Concurrency,
        follow: Callable[[], None] | None = None,
    ) -> None:
        self._serves = follow is not None
        self._follow = follow or (lambda: None)
        self._store = store
        self._run_dir = run_dir
        self._prover = prover
        self._wait_seconds = wait_seconds
        self._concurrency = concurrency

    def promote(
        self,
        name: str,
        version: int,
        *,
        expected: int | None = None,
        if_better: str | None = None,
        why: str = "",
        who: str = "",
    ) -> Outcome:
        """As ``models.store.lifecycle.promote``; raises Conflict, too, for a version that does not pass its proof."""
        self._prove(name, [version])
        return self._wait(
            lambda: lifecycle.promote(
                self._store, name, version, expected=expected, if_better=if_better, why=why, who=who
            ),
            lambda changed: [version],
        )

    def rollback(self, name: str, *, expected: int | None = None, why: str = "", who: str = "") -> Outcome:
        """As ``models.store.lifecycle.rollback``. The version is not proved again: it has served, and there may be haste."""
        return self._wait(
            lambda: lifecycle.rollback(self._store, name, expected=expected, why=why, who=who),
            lambda changed: [changed.after],
        )

    def traffic(self, name: str, rule: Rule | None, *, why: str = "", who: str = "") -> Outcome:
        """As ``models.store.lifecycle.set_traffic``, after every version of the rule was proved."""
        versions = sorted(rule.versions) if rule else []
        self._prove(name, versions)
        return self._wait(
            lambda: lifecycle.set_traffic(self._store, name, rule, why=why, who=who), lambda changed: versions
        )

    def tag(self, name: str, version: int, tag: str, *, why: str = "", who: str = "") -> Outcome:
        """As ``Store.tag``, after the version was proved where a server runs: whoever asks for the tag gets it at once."""
        if self.workers():
            self._prove(name, [version])

        def change() -> Changed:
            before = self._store.state(name).tags.get(tag)
            return Changed(name, "tag", before, version, self._store.tag(name, version, tag, why, who))

        return self._wait(change, lambda changed: [version])

    def reload(self) -> Outcome:
        """Let every worker read the store anew, and try again what could not be loaded."""
        self._prover.forget_refusals()
        return self._wait(lambda: lifecycle.touch(self._store))

    def resolve(self, name: str, selector: str) -> int:
        """The version that a number, tag or alias names in the store at this moment; raises NotFound."""
        return self._store.resolve(name, selector)

    def rule(self, name: str) -> Rule | None:
        """The model's traffic rule in the store at this moment."""
        said = self._store.state(name).traffic
        return None if said is None else read_rule(said)

    def history(self, name: str) -> list[dict[str, Any]]:
        """Every change of the model, oldest first; raises ModelNotFound."""
        self._store.versions(name)
        return self._store.history(name)

    def workers(self) -> list[WorkerState]:
        """The living workers of this host's server."""
        return [] if self._run_dir is None else living_workers(self._run_dir)

    def _prove(self, name: str, versions: Iterable[int]) -> None:
        for version in versions:
            stored = self._store.get(name, version)
            proof = self._prover.prove(Version(name, version), stored)
            if proof.why:
                raise Conflict(f"{name}:{version} was tried out and must not serve: {proof.why}")
            stored.check_sizes()  # the proof may be an old one

    def _wait(
        self,
        change: Callable[[], Changed],
        versions: Callable[[Changed], Iterable[int]] = lambda changed: (),
    ) -> Outcome:
        # Whoever holds the store's lock at this moment must not hold up the requests.
        changed = self._concurrency.on_thread(change)
        if self._run_dir is None:
            self._follow()
            return Outcome(changed)
        if self._serves and not living_workers(self._run_dir):
            return Outcome(
                changed, refused={-1: f"{self._run_dir} has gone, where workers meet; send SIGHUP"}
            )
        named = [f"{changed.name}:{version}" for version in versions(changed)]
        switched, missing = wait_for_workers(
            self._run_dir, changed.generation, named, self._wait_seconds, self._concurrency.pause
        )
        refused = {
            worker.slot: "; ".join(worker.faults[ref] for ref in named if ref in worker.faults)
            for worker in switched
        }
        return Outcome(changed, switched, missing, {slot: why for slot, why in refused.items() if why})
