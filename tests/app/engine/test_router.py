"""Routing: percentages, stickiness, matches and shadows, over many keys and in other processes."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.router import PLACES, Route, choose, place
from models.names import Version
from models.traffic import Arm, Match, Rule, Shadow

STABLE = Version("toy", 1)
KEYS = [f"customer-{i}" for i in range(100_000)]


def chosen(rule: Rule, key: str, headers: dict[str, str] | None = None) -> Route:
    return choose(rule, STABLE, lambda: key, (headers or {}).get)


def on(rule: Rule, version: int) -> set[str]:
    return {key for key in KEYS if chosen(rule, key).target.number == version}


def split(percent: float) -> Rule:
    return Rule(arms=(Arm(2, percent),))


def test_a_tenth_of_100000_keys_is_a_tenth() -> None:
    assert len(on(split(10), 2)) == pytest.approx(10_000, abs=500)


def test_raising_a_share_moves_no_key_away() -> None:
    at_10, at_25 = on(split(10), 2), on(split(25), 2)
    assert at_10 < at_25
    assert len(at_25) == pytest.approx(25_000, abs=500)


def test_several_arms_each_get_their_share() -> None:
    rule = Rule(arms=(Arm(2, 10), Arm(3, 20), Arm(4, 70)))
    found = [len(on(rule, version)) for version in (1, 2, 3, 4)]
    assert found == [0, *(pytest.approx(n, abs=500) for n in (10_000, 20_000, 70_000))]
    assert {chosen(rule, key).arm for key in KEYS[:100]} == {"canary", "arm-2", "arm-3"}


def test_all_means_all_and_the_smallest_share_is_not_everything() -> None:
    assert len(on(split(100), 2)) == len(KEYS)
    assert len(on(split(0.01), 2)) == pytest.approx(10, abs=15)


@given(st.text(), st.floats(0.01, 99), st.floats(0.01, 99))
def test_a_key_that_an_arm_has_stays_when_it_is_raised(key: str, one: float, other: float) -> None:
    low, high = sorted((one, other))
    if chosen(split(low), key).target.number == 2:
        assert chosen(split(high), key).target.number == 2


def test_another_process_puts_keys_at_the_same_places() -> None:
    asked = "from app.engine.router import place; print([place('toy', f'k{i}') for i in range(50)])"
    printed = subprocess.run([sys.executable, "-c", asked], capture_output=True, check=True, text=True).stdout
    assert printed.strip() == str([place("toy", f"k{i}") for i in range(50)])
    # These values are fixed: a release that changed them would route clients to other versions.
    assert [place("toy", key) * 100 // PLACES for key in ("a", "b", "c", "é", "")] == [24, 8, 25, 72, 14]


def test_models_are_split_independently() -> None:
    both = [place("one", key) < PLACES // 10 and place("two", key) < PLACES // 10 for key in KEYS[:20_000]]
    assert sum(both) == pytest.approx(200, abs=60)


def test_a_match_goes_before_the_shares() -> None:
    rule = Rule(arms=(Arm(2, 100),), matches=(Match("X-Beta", "yes", 3), Match("X-Old", "1", 4)))
    assert chosen(rule, "k", {"X-Beta": "yes", "X-Old": "1"}) == Route(Version("toy", 3), "match")
    assert chosen(rule, "k", {"X-Old": "1"}) == Route(Version("toy", 4), "match")
    assert chosen(rule, "k", {"X-Beta": "no"}) == Route(Version("toy", 2), "canary")


def test_a_shadow_is_asked_beside_whatever_answers() -> None:
    rule = Rule(arms=(Arm(2, 50),), shadow=Shadow(3))
    assert {chosen(rule, key).shadow for key in KEYS[:100]} == {Version("toy", 3)}
    assert {chosen(rule, key).target.number for key in KEYS[:100]} == {1, 2}


def test_a_shadow_gets_its_share_independently_of_the_arms() -> None:
    rule = Rule(arms=(Arm(2, 50),), shadow=Shadow(3, 10))
    asked = [chosen(rule, key) for key in KEYS]
    shadowed = [route for route in asked if route.shadow is not None]
    assert len(shadowed) == pytest.approx(10_000, abs=500)
    assert sum(route.target.number == 2 for route in shadowed) == pytest.approx(5_000, abs=400)


def test_a_version_is_no_shadow_of_itself() -> None:
    rule = Rule(arms=(Arm(3, 50),), shadow=Shadow(3))
    assert {(r.target.number, r.shadow) for key in KEYS[:100] if (r := chosen(rule, key))} == {
        (3, None),
        (1, Version("toy", 3)),
    }


def test_without_shares_no_key_is_asked_for() -> None:
    def never() -> str:
        raise AssertionError

    rule = Rule(matches=(Match("X-Beta", "yes", 3),), shadow=Shadow(2))
    assert choose(rule, STABLE, never, {}.get) == Route(STABLE, "stable", Version("toy", 2))
