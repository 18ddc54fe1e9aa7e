"""Promotion, rollback and aliases: the stable version afterwards, refusals, and the history."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace

import pytest

from models.errors import Conflict, ModelNotFound, VersionNotFound
from models.store import Store
from models.store.lifecycle import promote, rollback, set_traffic
from models.traffic import Arm, Match, Rule, Shadow, read_rule
from tests.toys import summing_draft

DRAFT = summing_draft()


@pytest.fixture
def four(store: Store) -> Store:
    """Return versions 1 to 4 of ``toy``, with one metric in each direction."""
    for auc, loss in ((0.7, 0.5), (0.8, 0.4), (0.8, 0.4), (0.6, 0.9)):
        manifest = replace(DRAFT.manifest, metrics={"auc": auc, "log_loss": loss})
        store.add(manifest, DRAFT.files)
    return store


def stable(store: Store) -> int:
    return store.resolve("toy", "stable")


def test_a_promotion_and_its_rollback(four: Store) -> None:
    changed = promote(four, "toy", 3, why="better", who="ada")
    assert (changed.before, changed.after, stable(four)) == (1, 3, 3)
    assert changed.generation == four.generation()
    undone = rollback(four, "toy")
    assert (undone.before, undone.after, stable(four)) == (3, 1, 1)


def test_rollbacks_go_back_through_the_history(four: Store) -> None:
    for version in (2, 3, 2, 4):
        promote(four, "toy", version)
    assert [rollback(four, "toy").after for _ in range(4)] == [2, 3, 2, 1]
    with pytest.raises(Conflict, match="no version that was stable before version 1"):
        rollback(four, "toy")


def test_a_promotion_after_a_rollback_goes_on_from_there(four: Store) -> None:
    promote(four, "toy", 2)
    promote(four, "toy", 3)
    rollback(four, "toy")
    promote(four, "toy", 4)
    assert [rollback(four, "toy").after for _ in range(2)] == [2, 1]


def test_a_rollback_passes_over_versions_that_were_deleted(four: Store) -> None:
    for version in (2, 3):
        promote(four, "toy", version)
    four.delete("toy", 2)
    assert rollback(four, "toy").after == 1


def test_promoting_what_is_stable_changes_nothing(four: Store) -> None:
    before = four.generation(), four.history("toy")
    assert promote(four, "toy", 1).after == 1
    assert (four.generation(), four.history("toy")) == before


def test_the_history_tells_who_what_from_to_and_why(four: Store) -> None:
    promote(four, "toy", 2, why="recall", who="ada")
    rollback(four, "toy", why="complaints", who="bob")
    first, second = four.history("toy")[-2:]
    assert {**first, "when": ""} == {
        "when": "", "who": "ada", "what": "promote", "before": 1, "version": 2, "why": "recall",
    }  # fmt: skip
    assert {**second, "when": ""} == {
        "when": "", "who": "bob", "what": "rollback", "before": 2, "version": 1, "why": "complaints",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("version", "metric", "said"),
    [
        (2, "auc", None),
        (2, "log_loss", None),
        (4, "auc", "auc of toy:4 is 0.6, which is not more than 0.7 of version 1"),
        (4, "log_loss", "log_loss of toy:4 is 0.9, which is not less than 0.5 of version 1"),
        (2, "f1", "toy:1 recorded no metric 'f1' \\(it has: auc, log_loss\\)"),
    ],
)
def test_only_a_better_version_is_promoted_if_that_is_asked(
    four: Store, version: int, metric: str, said: str | None
) -> None:
    if said is None:
        assert promote(four, "toy", version, if_better=metric).after == version
        return
    with pytest.raises(Conflict, match=said):
        promote(four, "toy", version, if_better=metric)
    assert stable(four) == 1


def test_an_equal_version_is_not_better(four: Store) -> None:
    promote(four, "toy", 2)
    with pytest.raises(Conflict, match="not more than"):
        promote(four, "toy", 3, if_better="auc")


def test_what_does_not_exist_is_not_promoted(four: Store) -> None:
    with pytest.raises(VersionNotFound):
        promote(four, "toy", 9)
    with pytest.raises(ModelNotFound):
        promote(four, "nothing", 1)
    with pytest.raises(ModelNotFound):
        rollback(four, "nothing")


def test_a_stale_change_is_refused(four: Store) -> None:
    promote(four, "toy", 2)
    with pytest.raises(Conflict, match="stable is version 2 by now, not 1"):
        promote(four, "toy", 3, expected=1)
    with pytest.raises(Conflict, match="by now"):
        rollback(four, "toy", expected=1)
    assert promote(four, "toy", 3, expected=2).after == 3


def test_of_many_that_start_from_the_same_version_one_wins(four: Store) -> None:
    won: list[int] = []

    def run(version: int) -> None:
        with suppress(Conflict):
            won.append(promote(four, "toy", version, expected=1).after or 0)

    threads = [threading.Thread(target=run, args=(2 + i % 3,)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [stable(four)]


def test_a_rule_names_canary_and_shadow_and_holds_their_versions(four: Store) -> None:
    rule = Rule(arms=(Arm(3, 5),), shadow=Shadow(4, 50))
    assert set_traffic(four, "toy", rule).after == rule.to_json()
    assert four.selectors("toy") == {"stable": 1, "canary": 3, "shadow": 4, "latest": 4}
    assert read_rule(four.state("toy").traffic) == rule
    for version in (3, 4):
        with pytest.raises(Conflict, match=r"canary|shadow"):
            four.delete("toy", version)
    assert set_traffic(four, "toy", None).before == rule.to_json()
    assert four.selectors("toy") == {"stable": 1, "latest": 4}
    four.delete("toy", 3)
    assert [line["what"] for line in four.history("toy")[-3:]] == ["traffic", "traffic", "delete"]


def test_a_version_that_only_a_match_names_is_held_too(four: Store) -> None:
    set_traffic(four, "toy", Rule(matches=(Match("X-Beta", "1", 3),)))
    with pytest.raises(Conflict, match="traffic rule"):
        four.delete("toy", 3)


def test_a_version_of_the_second_arm_is_held_too(four: Store) -> None:
    set_traffic(four, "toy", Rule(arms=(Arm(2, 5), Arm(3, 5))))
    with pytest.raises(Conflict, match="traffic rule"):
        four.delete("toy", 3)


def test_a_rule_for_a_version_that_does_not_exist_is_refused(four: Store) -> None:
    with pytest.raises(VersionNotFound):
        set_traffic(four, "toy", Rule(arms=(Arm(9, 5),)))
    with pytest.raises(ModelNotFound):
        set_traffic(four, "nothing", None)
    assert four.state("toy").traffic is None


def test_setting_the_same_rule_again_changes_nothing(four: Store) -> None:
    rule = Rule(arms=(Arm(3, 5),))
    set_traffic(four, "toy", rule)
    before = four.generation()
    set_traffic(four, "toy", rule)
    assert four.generation() == before
