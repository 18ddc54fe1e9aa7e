"""A canary walks its steps, ends when a guard trips, and resumes after a crash.

The clock advances only in its own ``sleep``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from app.concurrency.forms import Threads
from app.host.proof import Prover
from app.operations.operations import Operations
from app.operations.rollout import CHANGED, Counts, Guards, Rollout, Tally
from models.errors import Conflict, StoreUnavailable
from models.store import Store
from models.store.lifecycle import promote
from models.traffic import Arm, Rule
from tests.toys import summing_draft

DRAFT = summing_draft()
STEPS = (1.0, 25.0, 100.0)


class World:
    """A store, a clock, and clients that send each arm a number of requests per second."""

    def __init__(self, path: Path) -> None:
        self.store = Store(path)
        for _ in range(2):
            self.store.add(DRAFT.manifest, DRAFT.files)
        self.operations = Operations(self.store, None, Prover(), 0.0, Threads())
        self.now = 1000.0
        self.rate, self.error_rate, self.agreement = 100.0, 0.0, 1.0
        self.canary_ms, self.stable_ms = 1.0, 1.0
        self.canary, self.stable = Tally(), Tally()
        self.agrees = self.differs = 0.0
        self.percents: list[float] = []
        self.rule: Rule | None = None
        self.at: dict[float, Callable[[], None]] = {}

    def read(self) -> Counts:
        return Counts(self.canary, self.stable, self.agrees, self.differs)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for moment in [m for m in self.at if self.now - 1000 >= m]:
            self.at.pop(moment)()
        with suppress(StoreUnavailable):
            self.rule = self.operations.rule("toy")
        rule = self.rule
        share = rule.arms[0].percent / 100 if rule else 0.0
        if rule and (not self.percents or self.percents[-1] != rule.arms[0].percent):
            self.percents.append(rule.arms[0].percent)
        new, old = self.rate * share * seconds, self.rate * (1 - share) * seconds
        self.canary = more(self.canary, new, self.error_rate, self.canary_ms)
        self.stable = more(self.stable, old, 0.0, self.stable_ms)
        if rule and rule.shadow:
            self.agrees += old * self.agreement
            self.differs += old * (1 - self.agreement)

    def rollout(
        self, guards: Guards | None = None, steps: tuple[float, ...] = STEPS, every: float = 60.0
    ) -> Rollout:
        return Rollout(
            self.operations,
            "toy",
            2,
            steps,
            every,
            guards or Guards(),
            self.read,
            self.sleep,
            lambda: self.now,
        )

    @property
    def stable_version(self) -> int:
        return self.store.resolve("toy")


def more(tally: Tally, requests: float, error_rate: float, ms: float) -> Tally:
    return Tally(
        tally.requests + requests, tally.errors + requests * error_rate, tally.seconds + requests * ms / 1000
    )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "store")


def test_a_good_version_walks_all_steps_and_becomes_stable(world: World) -> None:
    result = world.rollout().run()
    assert (result.promoted, result.percent, result.reason) == (True, 100.0, "")
    assert world.percents == [1.0, 25.0, 100.0]
    assert world.now - 1000 == pytest.approx(180, abs=5)
    assert (world.stable_version, world.operations.rule("toy")) == (2, None)
    said = [line["why"] for line in world.store.history("toy")[-5:]]
    assert said == [
        "canary at 1 %",
        "canary at 25 %",
        "canary at 100 %",
        "the canary passed its steps",
        "the canary is stable",
    ]


def test_steps_that_end_below_100_leave_it_there(world: World) -> None:
    result = world.rollout(steps=(1.0, 25.0)).run()
    assert (result.promoted, result.percent, world.stable_version) == (False, 25.0, 1)
    assert world.operations.rule("toy") == Rule(arms=(Arm(2, 25.0),))


@pytest.mark.parametrize(
    ("worse", "guards", "why"),
    [
        ({"error_rate": 0.05}, Guards(), "5.00% of .* requests failed, more than 1.00%"),
        (
            {"canary_ms": 3.0},
            Guards(max_latency_ratio=2.0),
            r"its mean time is 3.00 ms, 3.00 times the 1.00 ms",
        ),
        ({"agreement": 0.9}, Guards(min_agreement=0.99), "90.00% of .* answers agree, less than 99.00%"),
    ],
)
def test_a_guard_that_trips_gives_everything_back(
    world: World, worse: dict[str, float], guards: Guards, why: str
) -> None:
    for name, value in worse.items():
        setattr(world, name, value)
    result = world.rollout(guards).run()
    assert (result.promoted, result.percent) == (False, 0.0)
    assert re.search(why, result.reason), result.reason
    assert (world.stable_version, world.operations.rule("toy")) == (1, None)
    assert world.now - 1000 < 60, "it does not wait for the end of the step"
    assert world.store.history("toy")[-1]["why"].startswith("canary stopped: ")


@pytest.mark.parametrize("worse", [{"canary_ms": 3.0}, {"agreement": 0.1}])
def test_what_is_not_guarded_does_not_matter(world: World, worse: dict[str, float]) -> None:
    for name, value in worse.items():
        setattr(world, name, value)
    assert world.rollout().run().promoted


def test_it_becomes_worse_at_the_last_step_and_is_measured_by_the_one_before(world: World) -> None:
    world.at[125.0] = lambda: setattr(world, "canary_ms", 50.0)
    result = world.rollout(Guards(max_latency_ratio=2.0)).run()
    assert "its mean time is" in result.reason
    assert (world.percents[-1], world.stable_version) == (100.0, 1)


def test_too_few_requests_are_no_verdict(world: World) -> None:
    world.rate = 10.0
    result = world.rollout(Guards(min_requests=20), every=30.0).run()
    assert result.promoted, "it waits for them"
    assert world.now - 1000 > 200, "a hundredth of 10 a second needs 200 s for 20"


def test_a_step_that_nobody_reaches_is_given_up(world: World) -> None:
    world.rate = 0.0
    result = world.rollout().run()
    assert "only 0 requests reached it, and 20 are needed, after 600 s" in result.reason
    assert world.operations.rule("toy") is None


class Killed(BaseException):
    """Stands for the death of the process."""


def test_a_process_that_died_is_resumed_at_its_step(world: World) -> None:
    def die() -> None:
        raise Killed

    world.at[90.0] = die
    with pytest.raises(Killed):
        world.rollout().run()
    assert world.operations.rule("toy") == Rule(arms=(Arm(2, 25.0),))
    world.percents.clear()
    assert world.rollout().run().promoted
    assert world.percents == [25.0, 100.0]


@pytest.mark.parametrize("rule_left", [True, False])
def test_one_that_died_after_the_promotion_only_clears_up(world: World, rule_left: bool) -> None:
    if rule_left:
        world.operations.traffic("toy", Rule(arms=(Arm(2, 100.0),)))
    world.operations.promote("toy", 2)
    assert world.rollout().run().promoted
    assert world.operations.rule("toy") is None


def test_another_rule_is_not_overwritten(world: World) -> None:
    world.operations.traffic("toy", Rule(arms=(Arm(2, 33.0),)))
    with pytest.raises(Conflict, match="clear it first"):
        world.rollout().run()


def test_the_rule_of_another_canary_is_left_alone(world: World) -> None:
    world.store.add(DRAFT.manifest, DRAFT.files)
    world.operations.promote("toy", 2)
    rule = Rule(arms=(Arm(3, 25.0),))
    world.operations.traffic("toy", rule)
    assert world.rollout().run().promoted
    assert world.operations.rule("toy") == rule


def test_who_makes_another_version_stable_meanwhile_knows_better(world: World) -> None:
    world.store.add(DRAFT.manifest, DRAFT.files)
    world.at[70.0] = lambda: promote(world.store, "toy", 3) and None
    result = world.rollout().run()
    assert (result.promoted, result.reason) == (False, CHANGED)
    assert world.stable_version == 3


@pytest.mark.parametrize("steps", [(100.0,), (50.0, 100.0)])
def test_without_a_measure_to_compare_with_it_is_not_promoted(world: World, steps: tuple[float, ...]) -> None:
    world.operations.traffic("toy", Rule(arms=(Arm(2, 100.0),)))
    result = world.rollout(Guards(max_latency_ratio=2.0), steps=steps, every=10.0).run()
    assert "only 0 requests of the stable version were timed for comparison" in result.reason
    assert world.stable_version == 1


def test_a_store_that_is_away_for_a_moment_does_not_end_it(world: World) -> None:
    away = world.store.path.with_name("away")
    world.at[30.0] = lambda: world.store.path.rename(away) and world.store.path.write_text("") and None

    def back() -> None:
        world.store.path.unlink()
        away.rename(world.store.path)

    world.at[33.0] = back
    assert world.rollout().run().promoted


def test_who_changes_the_rule_meanwhile_knows_better(world: World) -> None:
    world.at[70.0] = lambda: clear(world)
    result = world.rollout().run()
    assert (result.promoted, result.reason) == (False, CHANGED)
    assert world.stable_version == 1


def clear(world: World) -> None:
    world.operations.traffic("toy", None)


def test_a_server_that_restarts_counts_from_nothing(world: World) -> None:
    def restart() -> None:
        world.canary, world.stable = Tally(), Tally()

    world.at[30.0] = restart
    assert world.rollout().run().promoted
