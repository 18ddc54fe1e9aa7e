"""A canary: a version gets more traffic step by step, and loses all of it when a guard trips.

The traffic rule in the store is the only state. A process that died is resumed by starting it again: it goes
on from the step that the store is at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from app.operations.operations import Intent, Operations
from models.errors import Conflict, StoreUnavailable
from models.traffic import Arm, Rule, Shadow

POLL_SECONDS = 1.0
#: A step is given up when too few requests have reached it after this many times its length.
PATIENCE = 10
#: Why a canary stops without a change of its own: the other operator's decision stays.
CHANGED = "another operator changed the traffic rule or the stable version meanwhile"


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of the requests that a version answered."""

    requests: float = 0.0
    #: Those with a status of 500 or more.
    errors: float = 0.0
    #: The time of all together.
    seconds: float = 0.0

    def __sub__(self, other: Tally) -> Tally:
        return Tally(self.requests - other.requests, self.errors - other.errors, self.seconds - other.seconds)

    @property
    def mean_ms(self) -> float:
        """The mean time of a request in milliseconds."""
        return self.seconds / self.requests * 1000 if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of the requests of a model during a canary."""

    #: The requests of the new version.
    canary: Tally = field(default_factory=Tally)
    #: The requests of the other versions.
    stable: Tally = field(default_factory=Tally)
    #: Answers of the shadow that agree with the reply.
    agrees: float = 0.0
    #: Answers of the shadow that differ from the reply.
    differs: float = 0.0

    def __sub__(self, other: Counts) -> Counts:
        return Counts(
            self.canary - other.canary,
            self.stable - other.stable,
            self.agrees - other.agrees,
            self.differs - other.differs,
        )

    @property
    def went_back(self) -> bool:
        """Whether this difference is negative: the server was restarted and counts from 0 again."""
        return min(self.canary.requests, self.stable.requests, self.agrees, self.differs) < 0


@dataclass(frozen=True, slots=True)
class Guards:
    """The limits that end a canary. None is no limit."""

    #: The share of requests that may fail, from 0 to 1.
    max_error_rate: float | None = 0.01
    #: The mean time of the new version as a multiple of the stable version's.
    max_latency_ratio: float | None = None
    #: The share of answers that must agree with the stable version's, from 0 to 1.
    min_agreement: float | None = None
    #: How many requests a verdict needs.
    min_requests: int = 20

    def missing(self, counts: Counts, percent: float) -> str:
        """Return what a verdict on a step of ``percent`` still lacks; empty when it lacks nothing."""
        needed = [(counts.canary.requests, "requests reached it")]
        if self.max_latency_ratio is not None:
            needed.append(
                (counts.stable.requests, "requests of the stable version were timed for comparison")
            )
        # At 100 percent the stable version answers no request with which a shadow could be compared.
        if self.min_agreement is not None and percent < 100:
            needed.append((counts.agrees + counts.differs, "answers were compared with the stable version's"))
        least, what = min(needed)
        return (
            f"only {least:.0f} {what}, and {self.min_requests} are needed"
            if least < self.min_requests
            else ""
        )

    def tripped(self, counts: Counts) -> str:
        """Return why the canary must end; empty when it may go on."""
        canary, stable = counts.canary, counts.stable
        if canary.requests >= max(1, self.min_requests):
            rate = canary.errors / canary.requests
            if self.max_error_rate is not None and rate > self.max_error_rate:
                failed = f"{rate:.2%} of {canary.requests:.0f} requests failed"
                return f"{failed}, more than {self.max_error_rate:.2%}"
            if self.max_latency_ratio is not None and stable.requests >= max(1, self.min_requests):
                ratio = canary.mean_ms / max(stable.mean_ms, 1e-6)
                if ratio > self.max_latency_ratio:
                    return (
                        f"its mean time is {canary.mean_ms:.2f} ms, {ratio:.2f} times the "
                        f"{stable.mean_ms:.2f} ms of the stable version, more than "
                        f"{self.max_latency_ratio:g} times"
                    )
        compared = counts.agrees + counts.differs
        if self.min_agreement is not None and compared >= max(1, self.min_requests):
            agreement = counts.agrees / compared
            if agreement < self.min_agreement:
                return f"{agreement:.2%} of {compared:.0f} answers agree, less than {self.min_agreement:.2%}"
        return ""


@dataclass(frozen=True, slots=True)
class Result:
    """The end of a canary."""

    promoted: bool
    #: The share of requests that the new version has now, from 0 to 100.
    percent: float
    #: What stopped the canary; empty if nothing did.
    reason: str = ""


class Rollout:
    """The walk of one version through the steps of a canary."""

    def __init__(
        self,
        operations: Operations,
        name: str,
        version: int,
        steps: Sequence[float],
        every_seconds: float,
        guards: Guards,
        read: Callable[[], Counts],
        sleep: Callable[[float], None],
        now: Callable[[], float],
        report: Callable[[float, Counts], None] = lambda percent, counts: None,
        key: str = "",
    ) -> None:
        """Store the plan of the walk.

        ``steps`` are ascending percentages, and ``every_seconds`` is the length of each. ``read`` returns the
        counts since the server started. ``report`` is called during a step with its percentage and the counts
        of the step. ``key`` is the column by which the traffic rule keeps a client at one version.
        """
        self._operations = operations
        self._name = name
        self._version = version
        self._steps = tuple(steps)
        self._every_seconds = every_seconds
        self._guards = guards
        self._read = read
        self._sleep = sleep
        self._now = now
        self._report = report
        self._key = key
        self._stable = Tally()
        self._before = 0

    def run(self) -> Result:
        """Walk the steps that remain. Raises Conflict where another traffic rule is in force.

        After a step of 100 percent the version is promoted. When a guard trips, the stable version gets all
        requests again.
        """
        self._before = self._operations.resolve(self._name, "stable")
        if self._before == self._version:
            if self._operations.rule(self._name) in [self._rule(percent) for percent in self._steps]:
                self._operations.traffic(self._name, None, Intent("the canary is stable"))
            return Result(True, 100.0)
        for percent in self._remaining():
            rule = self._rule(percent)
            outcome = self._operations.traffic(self._name, rule, Intent(f"canary at {percent:g} %"))
            reason = "" if outcome.complete else "not every worker serves it"
            reason = reason or self._watch(percent, rule)
            if reason:
                return self._stop(percent, reason)
        if self._steps[-1] < 100:
            return Result(False, self._steps[-1])
        intent = Intent("the canary passed its steps", expected=self._before)
        promoted = self._operations.promote(self._name, self._version, intent)
        self._operations.traffic(self._name, None, Intent("the canary is stable"))
        return Result(True, 100.0, "" if promoted.complete else "not every worker has switched yet")

    def _remaining(self) -> Sequence[float]:
        """Return the remaining steps, beginning with the one that the store is at."""
        rule = self._operations.rule(self._name)
        if rule is None:
            return self._steps
        for i, percent in enumerate(self._steps):
            if rule == self._rule(percent):
                return self._steps[i:]
        raise Conflict(
            f"{self._name} has another traffic rule; clear it first: "
            f"flask models traffic {self._name} --clear"
        )

    def _rule(self, percent: float) -> Rule:
        shadow = None if self._guards.min_agreement is None else Shadow(self._version)
        return Rule((Arm(self._version, percent),), (), shadow, self._key)

    def _watch(self, percent: float, rule: Rule) -> str:
        """Wait until the step passes or fails; return why it failed, or an empty string."""
        start, before = self._now(), self._read()
        while True:
            self._sleep(min(POLL_SECONDS, self._every_seconds))
            try:
                if self._changed(rule):
                    return CHANGED
            except StoreUnavailable:
                # The store may be back at the next look, and workers keep their rule meanwhile.
                continue
            counts = self._read() - before
            if counts.went_back:
                before = self._read()
                continue
            # Where the canary gets all requests, it is compared with the stable version's earlier steps.
            if counts.stable.requests < self._guards.min_requests and self._stable.requests:
                counts = Counts(counts.canary, self._stable, counts.agrees, counts.differs)
            self._report(percent, counts)
            if reason := self._guards.tripped(counts):
                return reason
            elapsed, missing = self._now() - start, self._guards.missing(counts, percent)
            if elapsed >= self._every_seconds and not missing:
                self._stable = counts.stable
                return ""
            if elapsed >= PATIENCE * self._every_seconds:
                return f"{missing}, after {elapsed:.0f} s"

    def _changed(self, rule: Rule) -> bool:
        """Return whether another operator changed the rule or the stable version."""
        return self._operations.rule(self._name) != rule or self._before != self._operations.resolve(
            self._name, "stable"
        )

    def _stop(self, percent: float, reason: str) -> Result:
        if reason == CHANGED:
            return Result(False, percent, reason)
        self._operations.traffic(self._name, None, Intent(f"canary stopped: {reason}"))
        return Result(False, 0.0, reason)
