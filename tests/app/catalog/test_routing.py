"""The plan of routing, loads and releases: a table of snapshots and memory states with their plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.catalog.routing import LoadingPolicy, Plan, Routing, Status, as_stored, plan
from app.catalog.snapshot import ModelVersions, Snapshot
from models.errors import LoadError, ModelNotFound, StoreUnavailable, VersionNotFound
from models.names import Version
from models.record import Record
from models.traffic import Arm, Match, Rule
from tests.toys import summing_draft

RECORD = summing_draft()
LAZY = LoadingPolicy("lazy")
#: The statuses of versions 1, 2, ... of the model "m", by a letter each.
STATUS: Mapping[str, Status] = {
    "-": "lazy", "e": "evicted", "r": "ready", "x": "failed", "o": "outdated", "l": "loading",
}  # fmt: skip


def rule(*versions: int) -> Rule:
    return Rule(arms=tuple(Arm(version, 10) for version in versions))


def model(
    name: str = "m",
    stable: int | None = 1,
    versions: int | Mapping[int, Record | str] = 3,
    traffic: Rule | None = None,
    previous: Sequence[int] = (),
    **tags: int,
) -> ModelVersions:
    """A model with versions 1 to ``versions``, of which the last is also named ``latest``."""
    records = {n: RECORD for n in range(1, versions + 1)} if isinstance(versions, int) else versions
    aliases = {} if stable is None else {"stable": stable}
    return ModelVersions(
        name, records, {**aliases, **tags, "latest": max(records)}, aliases, tags, traffic, previous
    )


def snapshot(*models: ModelVersions, default: str | None = None) -> Snapshot:
    return Snapshot("7", {model.name: model for model in models}, default)


def routing(
    stable: int, traffic: Rule | None = None, stand_in: int | None = None, name: str = "m"
) -> Routing:
    """A routing in force, by which version ``stable`` or its stand-in answers."""
    now = as_stored(snapshot(model(name, stable, 9, traffic)))
    if stand_in is None:
        return now
    target = Version(name, stand_in)
    return Routing(now.snapshot, {name: target}, now.rules, {name: target})


@dataclass(frozen=True)
class Case:
    """A snapshot, the memory with a letter for each version, and the numbers of the expected plan."""

    about: str
    store: ModelVersions
    memory: str
    now: Routing
    routed: int | None
    load: Sequence[int] = ()
    release: Sequence[int] = ()
    stand_in: int | None = None
    rule: Rule | None = None
    under_way: Sequence[int] = ()
    policy: LoadingPolicy = field(default_factory=LoadingPolicy)


CASES = [
    # The start: nothing is in memory.
    Case("named versions and the latest are loaded, stable first", model(tag=2), "---", routing(1), 1, [1, 2, 3]),
    Case("what nothing names waits for its request", model(versions=4, tag=2), "----", routing(1), 1, [1, 2, 4]),
    Case("versions of the rule come after stable", model(stable=3, versions=4, traffic=rule(2)), "----",
         routing(3, rule(2)),
         3, [3, 2, 4], rule=rule(2)),
    Case("a lazy model has its rule at once", model(traffic=rule(2)), "---", routing(1), 1, rule=rule(2),
         policy=LAZY),
    Case("a lazy model loads nothing", model(), "---", routing(1), 1, policy=LAZY),
    Case("a model may be an exception to the policy", model(), "---", routing(1), 1, [1, 3],
         policy=LoadingPolicy("lazy", {"m": "startup"})),
    # At rest.
    Case("what is in memory and named stays", model(), "r-r", routing(1), 1),
    Case("what made room for another one comes back only when it is asked for", model(), "r-e", routing(1), 1),
    Case("what nothing names leaves", model(versions=4), "rrrr", routing(1), 1, release=[2, 3]),
    # A promotion.
    Case("the version that answers goes on until its successor is there", model(stable=2), "r-r", routing(1),
         1, [2], stand_in=1),
    Case("also while the successor is under way", model(stable=2), "rlr", routing(1), 1, stand_in=1, under_way=[2]),
    Case("the successor takes over once it is there, and the other one leaves", model(stable=2), "rrr", routing(1),
         2, release=[1]),
    Case("what was stable stays while something names it", model(stable=2, old=1), "rrr", routing(1), 2),
    Case("a version that is not in memory itself stands in for none that is coming", model(stable=2), "e-r",
         routing(1), 2, [2]),
    Case("a lazy model in memory is replaced by one that is loaded first", model(stable=2), "r--", routing(1),
         1, [2], stand_in=1, policy=LAZY),
    Case("a lazy model that nobody has asked for stays lazy", model(stable=2), "---", routing(1), 2, policy=LAZY),
    Case("the successor of a model in use is loaded although it made room before", model(stable=2), "re-",
         routing(1), 1, [2], stand_in=1, policy=LAZY),
    # Failures.
    Case("the version that answered answers on", model(stable=2), "rxr", routing(1), 1, stand_in=1),
    Case("after a restart the one that was stable before is loaded", model(stable=3, previous=[1, 2], old=1),
         "r-x", routing(3), 2, [2], stand_in=2),
    Case("and where that fails the one before it", model(stable=3, previous=[1, 2], old=1), "rxx", routing(3), 1,
         stand_in=1),
    Case("one under way answers for those that wait for it", model(stable=3, previous=[2], tag=1), "rlx",
         routing(3, stand_in=2), 2, stand_in=2, under_way=[2]),
    Case("without any other version the failed one is routed, and refuses", model(stable=1, versions=1), "x",
         routing(1), 1),
    Case("what cannot be read stands in for nothing", model(stable=2, versions={1: "gone", 2: RECORD}, previous=[1]),
         "-x", routing(2), 2),
    Case("a failure is not tried again before the store changes", model(stable=3, previous=[1]), "r-x",
         routing(3, stand_in=1), 1, stand_in=1),
    Case("once it has changed it is tried, and the stand-in goes on", model(stable=3, previous=[1]), "r-o",
         routing(3, stand_in=1), 1, [3], stand_in=1),
    Case("a stand-in that is not in memory yet is still loaded", model(stable=3, previous=[1]), "--o",
         routing(3, stand_in=1), 1, [1, 3], stand_in=1),
    Case("a lazy stable version that failed when it was asked for", model(stable=2, previous=[1]), "-x-", routing(2),
         1, [1], stand_in=1, policy=LAZY),
    Case("is tried again at a change, for its model is in use", model(stable=2, previous=[1]), "ro-",
         routing(2, stand_in=1), 1, [2], stand_in=1, policy=LAZY),
    # Rules.
    Case("a rule holds until every version of the next one is there", model(traffic=rule(2, 3)), "r-r",
         routing(1, rule(3)), 1, [2], rule=rule(3)),
    Case("also while the last of them is under way", model(traffic=rule(2, 3)), "rlr", routing(1, rule(3)), 1,
         rule=rule(3), under_way=[2]),
    Case("a first rule divides nothing until its versions are there", model(traffic=rule(2, 3)), "r-r", routing(1),
         1, [2]),
    Case("then the next one is in force", model(traffic=rule(2, 3)), "rrr", routing(1, rule(3)), 1,
         rule=rule(2, 3)),
    Case("also where a version of it cannot be loaded", model(traffic=rule(2, 3)), "rxr", routing(1, rule(3)), 1,
         rule=rule(2, 3)),
    Case("a rule that is taken away ends at once", model(), "r-r", routing(1, rule(3)), 1),
    Case("the versions of a rule that still holds stay in memory", model(versions=4, traffic=rule(3)), "rr-r",
         routing(1, rule(2)), 1, [3], rule=rule(2)),
    # What the store lacks.
    Case("a version that is gone leaves", model(versions=2), "r-r", routing(1), 1, [2], release=[3]),
    Case("a version that is gone answers for no other one", model(stable=2, versions={2: RECORD}), "r-", routing(1),
         2, [2], release=[1]),
    Case("a model without a stable version has no route", model(stable=None), "---", routing(1), None, [3]),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.about)
def test_a_plan(case: Case) -> None:
    memory = {Version("m", n): STATUS[letter] for n, letter in enumerate(case.memory, 1)}
    under_way = {Version("m", n) for n in case.under_way}
    made = plan(snapshot(case.store, default="m"), memory, under_way, case.now, case.policy)
    assert numbers(made.routing.targets) == case.routed
    assert [target.number for target in made.load] == list(case.load)
    assert [target.number for target in made.release] == list(case.release)
    assert numbers(made.routing.stand_ins) == case.stand_in
    assert made.routing.rules.get("m") == case.rule


def numbers(targets: Mapping[str, Version]) -> int | None:
    return targets["m"].number if "m" in targets else None


@pytest.mark.parametrize("policy", [LoadingPolicy(), LAZY])
@pytest.mark.parametrize("memory", ["---", "r-r", "-xr", "rxo", "xxx", "e-r"])
def test_a_plan_that_was_carried_out_is_followed_by_one_that_asks_for_nothing(
    policy: LoadingPolicy, memory: str
) -> None:
    """The follower plans after each load, so a plan must not ask for the same loads for ever."""
    store = snapshot(model(stable=2, previous=[1, 3], traffic=rule(3)))
    statuses: dict[Version, Status] = {Version("m", n): STATUS[letter] for n, letter in enumerate(memory, 1)}
    made = Plan(as_stored(store))
    for _ in range(10):
        made = plan(store, statuses, (), made.routing, policy)
        if not made.load:
            break
        statuses[made.load[0]] = "failed" if made.load[0].number == 2 else "ready"
    else:
        pytest.fail(f"it still wants {made.load}")
    again = plan(store, statuses, (), made.routing, policy)
    assert again.routing == made.routing


def test_routed_versions_of_all_models_are_loaded_before_the_others_and_the_default_model_first() -> None:
    store = snapshot(model("a"), model("b"), model("c"), default="b")
    made = plan(store, {}, (), as_stored(store), LoadingPolicy())
    assert [*map(str, made.load)] == ["b:1", "a:1", "c:1", "b:3", "a:3", "c:3"]


def test_a_failure_of_one_model_changes_nothing_for_another() -> None:
    store = snapshot(model("a", stable=2, previous=[1]), model("b"))
    memory: dict[Version, Status] = {
        Version("a", 2): "failed",
        Version("b", 1): "ready",
        Version("b", 3): "ready",
    }
    made = plan(store, memory, (), as_stored(store), LoadingPolicy())
    assert made.routing.targets == {"a": Version("a", 1), "b": Version("b", 1)}


def test_requests_are_resolved_by_number_tag_alias_or_what_answers_for_the_model() -> None:
    store = snapshot(model(stable=2, blue=3), model("broken", versions={1: "no manifest"}))
    resolve = routing(2, stand_in=1).resolve
    assert resolve("m") == resolve("m", "stable") == Version("m", 1)
    resolve = as_stored(store).resolve
    expected = {None: 2, "stable": 2, "1": 1, "blue": 3, "latest": 3}
    assert {selector: resolve("m", selector).number for selector in expected} == expected
    assert resolve("broken") == Version("broken", 1), "the record says why it cannot answer"
    for selector in ("4", "green", "01"):
        with pytest.raises(VersionNotFound):
            resolve("m", selector)
    with pytest.raises(ModelNotFound):
        resolve("other")


@pytest.mark.parametrize(
    ("store", "error"),
    [
        (Snapshot("0", {}, fault="no such directory"), StoreUnavailable),
        (snapshot(ModelVersions("m", {}, {}, fault="m cannot be read")), LoadError),
    ],
)
def test_what_cannot_be_read_has_no_route(store: Snapshot, error: type[Exception]) -> None:
    made: Any = plan(store, {}, (), as_stored(store), LoadingPolicy())
    assert (made.routing.targets, made.load, made.release) == ({}, [], [])
    with pytest.raises(error):
        made.routing.resolve("m")


def test_what_requests_get_without_naming_it() -> None:
    now = as_stored(snapshot(model(traffic=Rule(matches=(Match("X-Beta", "1", 2),)))))
    assert [now.gives(Version("m", n)) for n in (1, 2, 3)] == [True, True, False]
    assert now.summary() == "m:1"
    assert as_stored(snapshot()).summary() == "no model"
