"""Which version answers, and what is loaded for that: a pure function of the store and of what is in memory.

``plan`` reads no file, loads nothing and remembers nothing. The follower calls it after each change and acts
on the result.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from app.catalog.snapshot import Snapshot
from models.names import Version
from models.traffic import Rule

#: Where a version stands in this process.
#: lazy: not in memory.
#: evicted: not in memory, because it made room for another one.
#: loading: on its way into memory.
#: ready: in memory.
#: failed: it cannot be loaded.
#: outdated: it could not be loaded before the last change of the store.
Status = Literal["lazy", "evicted", "loading", "ready", "failed", "outdated"]
CANNOT_BE_LOADED = ("failed", "outdated")


@dataclass(frozen=True, slots=True)
class LoadingPolicy:
    """Which versions are loaded before a request asks for them: ``startup`` or ``lazy``, also by model.

    With ``startup`` these are the versions with a tag or alias, those of the traffic rule, and the latest.
    """

    default: str = "startup"
    by_model: Mapping[str, str] = field(default_factory=dict)

    def loads_ahead(self, snapshot: Snapshot, target: Version) -> bool:
        """Whether the version is loaded before it is asked for."""
        when = self.by_model.get(target.name, self.default)
        return when == "startup" and snapshot.models[target.name].is_named(target.number)


@dataclass(frozen=True, slots=True)
class Routing:
    """What requests are resolved by. It never changes: the next one takes its place as a whole.

    targets: by model, the version that answers requests which name no version: ``stable``, or its stand-in.
    rules: by model, the traffic rule in force: the snapshot's once its versions are loaded.
    stand_ins: by model, the version that answers in the place of a stable one that is not in memory.
    """

    snapshot: Snapshot
    targets: Mapping[str, Version]
    rules: Mapping[str, Rule]
    stand_ins: Mapping[str, Version]

    def resolve(self, name: str, selector: str | None = None) -> Version:
        """The version that a number, tag or alias names; without one, the version that answers for the model.

        Raises ModelNotFound or VersionNotFound, which list what exists, or LoadError for a model that cannot
        be read.
        """
        if selector is None or selector == "stable":
            target = self.targets.get(name)
            if target is not None:
                return target
        return self.snapshot.resolve(name, selector)

    def gives(self, target: Version) -> bool:
        """Whether requests that do not name the version may get it."""
        rule = self.rules.get(target.name)
        return self.targets.get(target.name) == target or (
            rule is not None and target.number in rule.versions
        )

    def summary(self) -> str:
        """Which versions answer, as ``name:version``, for a line of the log."""
        targets = [*map(str, self.targets.values())]
        more = f" .. ({len(targets)} in all)" if len(targets) > 20 else ""
        return ", ".join(targets[:20]) + more or "no model"


@dataclass(frozen=True, slots=True)
class Plan:
    """What follows from a snapshot and from what is in memory.

    load: the versions to bring into memory, the most urgent first.
    release: the versions that leave memory, because nothing names them any more.
    """

    routing: Routing
    load: Sequence[Version] = ()
    release: Sequence[Version] = ()


def as_stored(snapshot: Snapshot) -> Routing:
    """The routing of a process in which nothing is loaded yet: everything is as the store says."""
    return _routing(snapshot, {}, {})


def plan(
    snapshot: Snapshot,
    memory: Mapping[Version, Status],
    under_way: Collection[Version],
    now: Routing,
    policy: LoadingPolicy,
) -> Plan:
    """What requests are to be routed by, and what is to be loaded and released.

    memory: the status of the versions that this process knows; others count as lazy.
    under_way: the versions that are being loaded for an earlier plan. They are not in ``load`` once more.
    now: the routing in force, because a version that answers goes on until its successor is in memory.
    """
    wanted = {target for target in snapshot.targets if _is_wanted(target, snapshot, memory, now, policy)}
    coming = wanted.union(under_way)
    stand_ins = _stand_ins(snapshot, memory, now, coming)
    held = {
        name: now.rules.get(name)
        for name, model in snapshot.models.items()
        if model.rule and any(Version(name, number) in coming for number in model.rule.versions)
    }
    routing = _routing(snapshot, stand_ins, held)
    load = wanted.union(target for target in stand_ins.values() if memory.get(target) != "ready")
    return Plan(
        routing,
        sorted(load.difference(under_way), key=lambda target: _urgency(target, routing)),
        _unused(memory, routing),
    )


def _is_wanted(
    target: Version,
    snapshot: Snapshot,
    memory: Mapping[Version, Status],
    now: Routing,
    policy: LoadingPolicy,
) -> bool:
    """Whether the version is to be loaded: by the policy, or as the successor of one that is in memory."""
    status = memory.get(target, "lazy")
    if status in ("ready", "failed"):
        return False
    if status != "evicted" and policy.loads_ahead(snapshot, target):
        return True
    answering = now.targets.get(target.name)
    return (
        answering is not None
        and answering != target
        and target == snapshot.models[target.name].stable
        and memory.get(answering) == "ready"
    )


def _stand_ins(
    snapshot: Snapshot, memory: Mapping[Version, Status], now: Routing, coming: Collection[Version]
) -> Mapping[str, Version]:
    """By model, the version that answers while the stable one is coming, or because it cannot be loaded.

    While it is coming, that is the version that answers now. Otherwise those that were stable before can as
    well, the most recent one first, and are loaded for it.
    """
    stand_ins: dict[str, Version] = {}
    for name, model in snapshot.models.items():
        stable = model.stable
        is_coming = stable in coming
        if stable is None or not (is_coming or memory.get(stable) in CANNOT_BE_LOADED):
            continue
        candidates = [now.targets[name]] if name in now.targets else []
        if is_coming:
            kept = now.stand_ins.get(name)
            candidates = [target for target in candidates if target == kept or memory.get(target) == "ready"]
        else:
            candidates += [Version(name, number) for number in reversed(model.previous)]
        for target in candidates:
            is_able = model.record(target.number) and memory.get(target) not in CANNOT_BE_LOADED
            if is_able and target != stable:
                stand_ins[name] = target
                break
    return stand_ins


def _routing(
    snapshot: Snapshot, stand_ins: Mapping[str, Version], held: Mapping[str, Rule | None]
) -> Routing:
    """held: by model, the rule that stays in force, or None where requests are not divided yet."""
    targets: dict[str, Version] = {}
    rules: dict[str, Rule] = {}
    for name, model in snapshot.models.items():
        target = stand_ins.get(name, model.stable)
        if target is None:
            continue
        targets[name] = target
        rule = held.get(name, model.rule)
        if rule is not None:
            rules[name] = rule
    return Routing(snapshot, targets, rules, stand_ins)


def _urgency(target: Version, routing: Routing) -> tuple[int, bool, Version]:
    """What requests get by default comes first, then what a rule gives them; the default model leads."""
    if target in (routing.targets.get(target.name), routing.snapshot.models[target.name].stable):
        rank = 0
    else:
        rank = 1 if routing.gives(target) else 2
    return rank, target.name != routing.snapshot.default, target


def _unused(memory: Mapping[Version, Status], routing: Routing) -> Sequence[Version]:
    """The versions in memory that no request gets without naming their number."""
    models = routing.snapshot.models
    return [
        target
        for target, status in memory.items()
        if status == "ready"
        and not routing.gives(target)
        and not (target.name in models and models[target.name].is_named(target.number))
    ]
