"""The plan of what answers and what is loaded: a pure function of the store and of what is in memory.

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

#: The status of a version in this process.
#: lazy: not in memory.
#: evicted: removed from memory to make room for another version.
#: loading: on its way into memory.
#: ready: in memory.
#: failed: could not be loaded.
#: outdated: could not be loaded before the last change of the store.
Status = Literal["lazy", "evicted", "loading", "ready", "failed", "outdated"]
CANNOT_BE_LOADED = ("failed", "outdated")


@dataclass(frozen=True, slots=True)
class LoadingPolicy:
    """The rule about which versions are loaded before a request needs them: ``startup`` or ``lazy``.

    With ``startup`` these are the versions with a tag or alias, those of the traffic rule, and the latest.
    """

    #: The rule for all models that ``by_model`` does not name.
    default: str = "startup"
    by_model: Mapping[str, str] = field(default_factory=dict)

    def loads_ahead(self, snapshot: Snapshot, target: Version) -> bool:
        """Return whether the version is loaded before a request needs it."""
        when = self.by_model.get(target.name, self.default)
        return when == "startup" and snapshot.models[target.name].is_named(target.number)


@dataclass(frozen=True, slots=True)
class Routing:
    """The table by which requests are resolved. It is immutable, and replaced as a whole."""

    snapshot: Snapshot
    #: By model, the version that answers requests without a selector: ``stable``, or its stand-in.
    targets: Mapping[str, Version]
    #: By model, the traffic rule in force: the snapshot's, once its versions are loaded.
    rules: Mapping[str, Rule]
    #: By model, the version that answers in place of a stable one that is not in memory.
    stand_ins: Mapping[str, Version]

    def resolve(self, name: str, selector: str | None = None) -> Version:
        """Return the version that a selector names; without one, the version that answers for the model.

        A selector is a number, a tag or an alias.

        Raises ModelNotFound or VersionNotFound, which list what exists, or LoadError for a model that cannot
        be read.
        """
        if selector is None or selector == "stable":
            target = self.targets.get(name)
            if target is not None:
                return target
        return self.snapshot.resolve(name, selector)

    def gives(self, target: Version) -> bool:
        """Return whether requests that do not name the version may get it."""
        rule = self.rules.get(target.name)
        return self.targets.get(target.name) == target or (
            rule is not None and target.number in rule.versions
        )

    def summary(self) -> str:
        """Return the versions that answer, as ``name:version``, for a line of the log."""
        targets = [*map(str, self.targets.values())]
        more = f" .. ({len(targets)} in all)" if len(targets) > 20 else ""
        return ", ".join(targets[:20]) + more or "no model"


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps that follow from a snapshot and from what is in memory."""

    routing: Routing
    #: The versions to load, the most urgent first.
    load: Sequence[Version] = ()
    #: The versions to release, because no name or rule leads to them any more.
    release: Sequence[Version] = ()


def as_stored(snapshot: Snapshot) -> Routing:
    """Return the routing of a process in which nothing is loaded yet, which is that of the store."""
    return _routing(snapshot, {}, {})


def plan(
    snapshot: Snapshot,
    memory: Mapping[Version, Status],
    under_way: Collection[Version],
    now: Routing,
    policy: LoadingPolicy,
) -> Plan:
    """Return the next routing, and the versions to load and to release for it.

    ``memory`` has the status of the versions that this process knows; others count as lazy. ``under_way`` are
    the versions that are being loaded for an earlier plan, which the new plan does not load again. ``now`` is
    the routing in force, because a version that answers continues until its successor is in memory.
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
    """Return whether to load the version: by the policy, or as the successor of one that is in memory."""
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
    """Return by model the version that answers while the stable one is loaded, or if it cannot be loaded.

    While the stable one is loaded, the stand-in is the version that answers now. If it cannot be loaded, an
    earlier stable version may be loaded as the stand-in, the most recent one first.
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
    """Return the routing with these stand-ins.

    ``held`` has by model the rule that stays in force, or None where requests are not divided yet.
    """
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
    """Return a sort key: versions that answer by default, then those of rules, then others.

    The default model comes first in each group.
    """
    if target in (routing.targets.get(target.name), routing.snapshot.models[target.name].stable):
        rank = 0
    else:
        rank = 1 if routing.gives(target) else 2
    return rank, target.name != routing.snapshot.default, target


def _unused(memory: Mapping[Version, Status], routing: Routing) -> Sequence[Version]:
    """Return the versions in memory that a request gets only by naming their number."""
    models = routing.snapshot.models
    return [
        target
        for target, status in memory.items()
        if status == "ready"
        and not routing.gives(target)
        and not (target.name in models and models[target.name].is_named(target.number))
    ]
