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
#: Nothing is changed back then: another operator decided it.
CHANGED = "another operator changed the traffic rule or the stable version meanwhile"


@dataclass(frozen=True, slots=True)
class Tally:
    """Answered requests: their number, those with a status of 500 or more, and the seconds of all."""

    requests: float = 0.0
    errors: float = 0.0
    seconds: float = 0.0

    def __sub__(self, other: Tally) -> Tally:
        return Tally(self.requests - other.requests, self.errors - other.errors, self.seconds - other.seconds)

    @property
    def mean_ms(self) -> float:
        """Mean time of a request."""
        return self.seconds / self.requests * 1000 if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests of the new version and of the others, and the answers that a shadow compared."""

    canary: Tally = field(default_factory=Tally)
    stable: Tally = field(default_factory=Tally)
    agrees: float = 0.0
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
    """The limits that end a canary; None for no limit.

    min_requests : requests of the new version that a verdict needs.
    """

    max_error_rate: float | None = 0.01
    max_latency_ratio: float | None = None
    min_agreement: float | None = None
    min_requests: int = 20

    def missing(self, seen: Counts, percent: float) -> str:
        """What a verdict on the step still lacks; empty when it lacks nothing."""
        needed = [(seen.canary.requests, "requests reached it")]
        if self.max_latency_ratio is not None:
            needed.append(
                (seen.stable.requests, "requests of the stable version are there to compare its time with")
            )
        if (
            self.min_agreement is not None and percent < 100
        ):  # then nothing is left to be compared with a shadow
            needed.append((seen.agrees + seen.differs, "answers were compared with the stable version's"))
        least, what = min(needed)
        return (
            f"only {least:.0f} {what}, and {self.min_requests} are needed"
            if least < self.min_requests
            else ""
        )

    def tripped(self, seen: Counts) -> str:
        """Why the canary must end; empty when it goes on."""
        canary, stable = seen.canary, seen.stable
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
        compared = seen.agrees + seen.differs
        if self.min_agreement is not None and compared >= max(1, self.min_requests):
            agreement = seen.agrees / compared
            if agreement < self.min_agreement:
                return f"{agreement:.2%} of {compared:.0f} answers agree, less than {self.min_agreement:.2%}"
        return ""


@dataclass(frozen=True, slots=True)
class Result:
    """The end of a canary.

    percent : the share that the new version has now.
    why : what stopped it; empty when nothing did.
    """

    promoted: bool
    percent: float
    why: str = ""


class Rollout:
    """Walks the steps of a canary.

    every_seconds : the length of a step.
    read : returns the counts since the server started.
    tell : called during a step with its percentage and counts.
    """

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
        tell: Callable[[float, Counts], None] = lambda percent, seen: None,
        key: str = "",
    ) -> None:
        self._operations = operations
        self._name = name
        self._version = version
        self._steps = tuple(steps)
        self._every_seconds = every_seconds
        self._guards = guards
        self._read = read
        self._sleep = sleep
        self._now = now
        self._tell = tell
        self._key = key
        self._stable = Tally()
        self._before = 0

    def run(self) -> Result:
        """Walk the steps from where the store is; raises Conflict where another rule is in force.

        After a step of 100 percent the version is promoted. When a guard trips, the stable version gets all
        requests again.
        """
        self._before = self._operations.resolve(self._name, "stable")
        if self._before == self._version:
            if self._operations.rule(self._name) in [self._rule(percent) for percent in self._steps]:
                self._operations.traffic(self._name, None, Intent("the canary is stable"))
            return Result(True, 100.0)
        for percent in self._left():
            rule = self._rule(percent)
            outcome = self._operations.traffic(self._name, rule, Intent(f"canary at {percent:g} %"))
            why = "" if outcome.complete else "not every worker serves it"
            why = why or self._watch(percent, rule)
            if why:
                return self._stop(percent, why)
        if self._steps[-1] < 100:
            return Result(False, self._steps[-1])
        intent = Intent("the canary passed its steps", expected=self._before)
        promoted = self._operations.promote(self._name, self._version, intent)
        self._operations.traffic(self._name, None, Intent("the canary is stable"))
        return Result(True, 100.0, "" if promoted.complete else "not every worker has switched yet")

    def _left(self) -> Sequence[float]:
        """The remaining steps, beginning with the one that the store is at."""
        rule = self._operations.rule(self._name)
        if rule is None:
            return self._steps
        for i, percent in enumerate(self._steps):
            if rule == self._rule(percent):
                return self._steps[i:]
        raise Conflict(
            f"{self._name} has another traffic rule; take it away first: "
            f"flask models traffic {self._name} --clear"
        )

    def _rule(self, percent: float) -> Rule:
        shadow = None if self._guards.min_agreement is None else Shadow(self._version)
        return Rule((Arm(self._version, percent),), (), shadow, self._key)

    def _watch(self, percent: float, rule: Rule) -> str:
        """Why the step failed; empty when its time is over and enough requests were counted."""
        began, before = self._now(), self._read()
        while True:
            self._sleep(min(POLL_SECONDS, self._every_seconds))
            try:
                if self._changed(rule):
                    return CHANGED
            except StoreUnavailable:
                # It may be back at the next look; workers keep their rule meanwhile.
                continue
            seen = self._read() - before
            if seen.went_back:
                before = self._read()
                continue
            # Where the canary gets all requests, it is compared with the stable version's earlier steps.
            if seen.stable.requests < self._guards.min_requests and self._stable.requests:
                seen = Counts(seen.canary, self._stable, seen.agrees, seen.differs)
            self._tell(percent, seen)
            if why := self._guards.tripped(seen):
                return why
            passed, missing = self._now() - began, self._guards.missing(seen, percent)
            if passed >= self._every_seconds and not missing:
                self._stable = seen.stable
                return ""
            if passed >= PATIENCE * self._every_seconds:
                return f"{missing}, after {passed:.0f} s"

    def _changed(self, rule: Rule) -> bool:
        """Whether another operator changed the rule or the stable version."""
        return self._operations.rule(self._name) != rule or self._before != self._operations.resolve(
            self._name, "stable"
        )

    def _stop(self, percent: float, why: str) -> Result:
        if why == CHANGED:
            return Result(False, percent, why)
        self._operations.traffic(self._name, None, Intent(f"canary stopped: {why}"))
        return Result(False, 0.0, why)
