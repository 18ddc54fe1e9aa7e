"""The operations on a running server, in one place for the command line and for /admin.

Each operation proves the versions that are about to answer, changes the store once, and returns when every
worker of this host serves the change, or when it has waited long enough. Workers of other hosts follow by
themselves and are not waited for.
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
    """The result of an operation."""

    changed: Changed
    #: The workers of this host that serve the change.
    switched: Sequence[WorkerState] = ()
    #: The workers of this host that did not serve it in time.
    missing: Sequence[WorkerState] = ()
    #: Slot -> the reason why its worker, which follows the store, cannot serve the version itself.
    refused: Mapping[int, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every worker of this host serves the change."""
        return not (self.missing or self.refused)

    def to_json(self, now: float) -> dict[str, Any]:
        """Return the outcome as JSON data.

        ``now`` is the Unix time up to which the silence of missing workers is counted.
        """
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
            "refused": [{"slot": slot, "reason": reason} for slot, reason in sorted(self.refused.items())],
        }


@dataclass(frozen=True, slots=True)
class Intent:
    """The reason and the author of a change, and the state that it expects."""

    #: The reason, for the history.
    why: str = ""
    #: The operator; empty for the user of this process.
    who: str = ""
    #: The version that must be stable, or else the change raises Conflict; None for any.
    expected: int | None = None


#: A change without a reason, by the user of this process.
UNEXPLAINED = Intent()


class Operations:
    """The changes that an operator makes to one store and to the server of this host."""

    def __init__(
        self,
        store: Store,
        run_dir: Path | None,
        prover: Prover,
        wait_seconds: float,
        concurrency: Concurrency,
        follow: Callable[[], None] | None = None,
    ) -> None:
        """Store the parts of a server.

        ``run_dir`` is the server's run directory, or None where no server is known. ``wait_seconds`` limits
        the wait for workers after a change. A process that serves passes ``follow``, which makes it serve a
        change where no other process does.
        """
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
        intent: Intent = UNEXPLAINED,
        *,
        if_better: str | None = None,
    ) -> Outcome:
        """Make a version stable, after its proof.

        ``if_better`` is a metric by which the version must be better than the stable one. Raises
        ModelNotFound, VersionNotFound, LoadError, or Conflict, also where the proof fails.
        """
        self._prove(name, [version])
        return self._wait(
            lambda: lifecycle.promote(self._store, name, version, if_better=if_better, **asdict(intent)),
            lambda changed: [version],
        )

    def rollback(self, name: str, intent: Intent = UNEXPLAINED) -> Outcome:
        """Make the previous stable version stable again. Raises as ``promote``.

        The version is not proved again: it has served before, and a rollback may be urgent.
        """
        return self._wait(
            lambda: lifecycle.rollback(self._store, name, **asdict(intent)),
            lambda changed: [changed.after],
        )

    def traffic(self, name: str, rule: Rule | None, intent: Intent = UNEXPLAINED) -> Outcome:
        """Divide the requests by a rule, after the proof of each of its versions. Raises as ``promote``.

        Without a rule the stable version gets all requests.
        """
        versions = sorted(rule.versions) if rule else []
        self._prove(name, versions)
        return self._wait(
            lambda: lifecycle.set_traffic(self._store, name, rule, why=intent.why, who=intent.who),
            lambda changed: versions,
        )

    def tag(self, name: str, version: int, tag: str, intent: Intent = UNEXPLAINED) -> Outcome:
        """Move a tag to a version. Raises as ``promote``, and InvalidName.

        The version is proved where a server runs, because requests for the tag reach it at once.
        """
        if self.workers():
            self._prove(name, [version])

        def change() -> Changed:
            before = self._store.state(name).tags.get(tag)
            generation = self._store.tag(name, version, tag, intent.why, intent.who)
            return Changed(name, "tag", before, version, generation)

        return self._wait(change, lambda changed: [version])

    def reload(self) -> Outcome:
        """Make every worker read the store again, and retry the versions that could not be loaded."""
        self._prover.forget_refusals()
        return self._wait(lambda: lifecycle.touch(self._store))

    def resolve(self, name: str, selector: str) -> int:
        """Return the version that a number, tag or alias names in the store now. Raises NotFound."""
        return self._store.resolve(name, selector)

    def rule(self, name: str) -> Rule | None:
        """Return the model's traffic rule in the store now, or None."""
        stored = self._store.state(name).traffic
        return None if stored is None else read_rule(stored)

    def history(self, name: str) -> list[dict[str, Any]]:
        """Return every change of the model, oldest first. Raises ModelNotFound."""
        self._store.versions(name)
        return self._store.history(name)

    def workers(self) -> list[WorkerState]:
        """Return the living workers of this host's server."""
        return [] if self._run_dir is None else living_workers(self._run_dir)

    def _prove(self, name: str, versions: Iterable[int]) -> None:
        for version in versions:
            record = self._store.get(name, version)
            proof = self._prover.prove(Version(name, version), record)
            if proof.reason:
                raise Conflict(f"{name}:{version} did not pass its proof: {proof.reason}")
            record.check_sizes()  # the verdict may be an old one

    def _wait(
        self,
        change: Callable[[], Changed],
        versions: Callable[[Changed], Iterable[int]] = lambda changed: (),
    ) -> Outcome:
        # On a thread, because another process may hold the store's lock, and requests must not wait for that.
        changed = self._concurrency.on_thread(change)
        if self._run_dir is None:
            self._follow()
            return Outcome(changed)
        if self._serves and not living_workers(self._run_dir):
            missing_dir = (
                f"the run directory {self._run_dir} is missing; send SIGHUP to the server to recreate it"
            )
            return Outcome(changed, refused={-1: missing_dir})
        affected = [f"{changed.name}:{version}" for version in versions(changed)]
        switched, missing = wait_for_workers(
            self._run_dir, changed.generation, affected, self._wait_seconds, self._concurrency.pause
        )
        refused = {
            worker.slot: "; ".join(worker.faults[ref] for ref in affected if ref in worker.faults)
            for worker in switched
        }
        return Outcome(
            changed, switched, missing, {slot: reason for slot, reason in refused.items() if reason}
        )
