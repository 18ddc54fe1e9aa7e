"""Which version answers: a promotion, a rollback, a traffic rule, each one atomic change that the history
records.

Only the store changes here. A server proves a version first and waits for its workers (app/operations).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from models.errors import Conflict, VersionNotFound
from models.store import Store
from models.store.files import store_errors
from models.store.registry import Change, State
from models.traffic import Rule

#: The number of earlier versions that a rollback can return to.
MOST_PREVIOUS = 100

#: A metric whose name holds one of these is better when it is smaller, and one that has one of these words in
#: it, too; unless it begins with ``neg_``, as scikit-learn's scorers do, which are better when they are
#: larger.
SMALLER_IS_BETTER = ("error", "loss", "mae", "mse", "msle", "mape", "wape", "deviance", "perplexity", "brier")
SMALLER_WORDS = {"wer", "cer", "ece", "nll", "mase", "crps", "fpr", "fnr", "pinball", "hinge"}


@dataclass(frozen=True, slots=True)
class Changed:
    """What an operation did.

    before, after: the stable version, or the traffic rule as JSON data.
    generation: the store's, with this change in it.
    """

    name: str
    verb: str
    before: Any
    after: Any
    generation: str


def promote(
    store: Store,
    name: str,
    version: int,
    *,
    expected: int | None = None,
    if_better: str | None = None,
    why: str = "",
    who: str = "",
) -> Changed:
    """Make the version stable. For one that is stable already nothing is changed or recorded.

    expected: the version that the caller believes to be stable; Conflict if it is another.
    if_better: a metric that both versions recorded; Conflict unless this version's is better.
    Raises ModelNotFound, VersionNotFound, Conflict or a LoadError.
    """
    with store_errors(store.path):
        store.versions(name)
        with store.change(name) as change:
            if version not in (live := store.versions(name)):
                raise VersionNotFound(name, str(version), map(str, live))
            state = store.state(name)
            before = _stable(state, name, expected)
            if before == version:
                return Changed(name, "promote", before, version, store.generation())
            if if_better is not None:
                _check_better(store, name, before, version, if_better)
            previous = [*state.previous, before][-MOST_PREVIOUS:]
            return _move_stable(change, "promote", replace(state, previous=previous), version, why, who)


def rollback(
    store: Store, name: str, *, expected: int | None = None, why: str = "", who: str = ""
) -> Changed:
    """Make the version stable that was stable before, step by step back; raises as ``promote`` does."""
    with store_errors(store.path):
        store.versions(name)
        with store.change(name) as change:
            state = store.state(name)
            before = _stable(state, name, expected)
            live = set(store.versions(name))
            left = [version for version in state.previous if version in live]
            while left and left[-1] == before:
                left.pop()
            if not left:
                raise Conflict(f"{name} has no version that was stable before version {before}")
            return _move_stable(change, "rollback", replace(state, previous=left[:-1]), left[-1], why, who)


def set_traffic(store: Store, name: str, rule: Rule | None, *, why: str = "", who: str = "") -> Changed:
    """Set the rule that gives requests another version than the stable one; None removes it.

    ``canary`` and ``shadow`` name the versions that the rule gives these parts. Raises ModelNotFound,
    VersionNotFound or Conflict.
    """
    with store_errors(store.path):
        store.versions(name)
        with store.change(name) as change:
            live = store.versions(name)
            if rule is not None and (missing := sorted(rule.versions - set(live))):
                raise VersionNotFound(name, str(missing[0]), map(str, live))
            state = store.state(name)
            said = None if rule is None else rule.to_json()
            if said == state.traffic:
                return Changed(name, "traffic", state.traffic, said, store.generation())
            aliases = {"stable": state.aliases["stable"], **(rule.aliases if rule else {})}
            generation = change.begin()
            changed = replace(state, traffic=said, aliases=aliases)
            change.commit(changed, "traffic", who=who, before=state.traffic, rule=said, why=why)
            return Changed(name, "traffic", state.traffic, said, generation)


def touch(store: Store) -> Changed:
    """Give the store another generation although nothing changed, so that every server reads it again."""
    with store_errors(store.path):
        return Changed("", "reload", None, None, store.registry.touch())


def _stable(state: State, name: str, expected: int | None) -> int:
    stable = state.aliases["stable"]
    if expected is not None and stable != expected:
        raise Conflict(
            f"{name}:stable is version {stable} by now, not {expected}; look again before changing it"
        )
    return stable


def _move_stable(change: Change, verb: str, state: State, version: int, why: str, who: str) -> Changed:
    before = state.aliases["stable"]
    generation = change.begin()
    changed = replace(state, aliases={**state.aliases, "stable": version})
    change.commit(changed, verb, who=who, before=before, version=version, why=why)
    return Changed(change.name, verb, before, version, generation)


def smaller_is_better(metric: str) -> bool:
    """Whether the smaller value of a metric of this name is the better one."""
    name = metric.lower()
    words = set(re.split(r"[^a-z]+", name))
    return not name.startswith("neg_") and (
        any(part in name for part in SMALLER_IS_BETTER) or not words.isdisjoint(SMALLER_WORDS)
    )


def _check_better(store: Store, name: str, before: int, version: int, metric: str) -> None:
    found = []
    for number in (before, version):
        metrics = store.get(name, number).manifest.metrics or {}
        if metric not in metrics:
            listed = ", ".join(sorted(metrics)) or "none"
            raise Conflict(f"{name}:{number} recorded no metric {metric!r} (it has: {listed})")
        found.append(metrics[metric])
    smaller = smaller_is_better(metric)
    better = found[1] < found[0] if smaller else found[1] > found[0]
    if not better:
        raise Conflict(
            f"{metric} of {name}:{version} is {found[1]:g}, which is not {'less' if smaller else 'more'} than "
            f"{found[0]:g} of version {before}; nothing was changed"
        )
