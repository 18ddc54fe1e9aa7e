"""Changes of what answers: promotion, rollback and traffic rules, each one atomic change in the history.

Only the store changes in this module. A server verifies a version first and waits for its workers
(app/operations).
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

#: Parts of names and whole words of metrics that are better when they are smaller. A name that begins with
#: ``neg_``, such as those of scikit-learn's scorers, is an exception.
SMALLER_IS_BETTER = ("error", "loss", "mae", "mse", "msle", "mape", "wape", "deviance", "perplexity", "brier")
SMALLER_WORDS = {"wer", "cer", "ece", "nll", "mase", "crps", "fpr", "fnr", "pinball", "hinge"}


@dataclass(frozen=True, slots=True)
class Changed:
    """The result of an operation."""

    #: The model's name; empty for an operation on the whole store.
    name: str
    verb: str
    #: The stable version, or the traffic rule as JSON data.
    before: Any
    after: Any
    #: The generation of the store that contains this change.
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
    """Make the version stable. If it is stable already, nothing is changed or recorded.

    ``expected`` is the version that the caller believes to be stable; another one raises Conflict.
    ``if_better`` is a metric that both versions recorded; Conflict unless this version's value is better.
    Raises ModelNotFound, VersionNotFound, Conflict or a LoadError.
    """
    with store_errors(store.path):
        store.versions(name)
        with store.change(name) as change:
            if version not in (versions := store.versions(name)):
                raise VersionNotFound(name, str(version), map(str, versions))
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
    """Make the version stable that was stable before, one step at a time; raises the errors of
    ``promote``.
    """
    with store_errors(store.path):
        store.versions(name)
        with store.change(name) as change:
            state = store.state(name)
            before = _stable(state, name, expected)
            versions = set(store.versions(name))
            previous = [version for version in state.previous if version in versions]
            while previous and previous[-1] == before:
                previous.pop()
            if not previous:
                raise Conflict(f"{name} has no version that was stable before version {before}")
            return _move_stable(
                change, "rollback", replace(state, previous=previous[:-1]), previous[-1], why, who
            )


def set_traffic(store: Store, name: str, rule: Rule | None, *, why: str = "", who: str = "") -> Changed:
    """Set the rule that sends requests to other versions than the stable one; None removes it.

    ``canary`` and ``shadow`` then name the versions with these roles in the rule. Raises ModelNotFound,
    VersionNotFound or Conflict.
    """
    with store_errors(store.path):
        store.versions(name)
        with store.change(name) as change:
            versions = store.versions(name)
            if rule is not None and (missing := sorted(rule.versions - set(versions))):
                raise VersionNotFound(name, str(missing[0]), map(str, versions))
            state = store.state(name)
            data = None if rule is None else rule.to_json()
            if data == state.traffic:
                return Changed(name, "traffic", state.traffic, data, store.generation())
            aliases = {"stable": state.aliases["stable"], **(rule.aliases if rule else {})}
            generation = change.begin()
            changed = replace(state, traffic=data, aliases=aliases)
            change.commit(changed, "traffic", who=who, before=state.traffic, rule=data, why=why)
            return Changed(name, "traffic", state.traffic, data, generation)


def touch(store: Store) -> Changed:
    """Increase the generation of the store without a change, so that every server reads the store again."""
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
    """Return whether a smaller value of the metric is better, judging by its name."""
    name = metric.lower()
    words = set(re.split(r"[^a-z]+", name))
    return not name.startswith("neg_") and (
        any(part in name for part in SMALLER_IS_BETTER) or not words.isdisjoint(SMALLER_WORDS)
    )


def _check_better(store: Store, name: str, before: int, version: int, metric: str) -> None:
    values = []
    for number in (before, version):
        metrics = store.get(name, number).manifest.metrics or {}
        if metric not in metrics:
            listed = ", ".join(sorted(metrics)) or "none"
            raise Conflict(f"{name}:{number} recorded no metric {metric!r} (it has: {listed})")
        values.append(metrics[metric])
    smaller = smaller_is_better(metric)
    better = values[1] < values[0] if smaller else values[1] > values[0]
    if not better:
        raise Conflict(
            f"{metric} of {name}:{version} is {values[1]:g}, which is not "
            f"{'less' if smaller else 'more'} than {values[0]:g} of version {before}; nothing was changed"
        )
