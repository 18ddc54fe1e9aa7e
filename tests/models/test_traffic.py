"""Traffic rules: their JSON data, and refusals with a reason."""

from __future__ import annotations

from typing import Any

import pytest

from models.errors import InvalidRule
from models.traffic import Arm, Match, Rule, Shadow, read_rule

WHOLE = Rule((Arm(2, 5), Arm(3, 12.5)), (Match("X-Beta", "yes", 3),), Shadow(4, 10), "customer")


@pytest.mark.parametrize(
    "rule", [WHOLE, Rule(arms=(Arm(1, 100),)), Rule(shadow=Shadow(2)), Rule(matches=WHOLE.matches)]
)
def test_a_rule_survives_json(rule: Rule) -> None:
    assert read_rule(rule.to_json()) == rule


def test_what_a_rule_names() -> None:
    assert WHOLE.versions == {2, 3, 4}
    assert WHOLE.aliases == {"canary": 2, "shadow": 4}
    assert Rule(matches=WHOLE.matches).aliases == {}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([], "is an object with"),
        ({}, "needs a share, a match or a shadow"),
        ({"key": "customer"}, "needs a share"),
        ({"split": []}, "has no 'split': use arms, key, matches, shadow"),
        ({"arms": 3}, "arms: use a list"),
        ({"arms": [3]}, "arms: use an object"),
        ({"arms": [{"version": 3}]}, "arms: version is not what it takes"),
        ({"arms": [{"version": "3", "percent": 1}]}, "arms.version: of the wrong type"),
        ({"arms": [{"version": True, "percent": 1}]}, "arms.version: of the wrong type"),
        ({"arms": [{"version": 3, "percent": 0}]}, "0 percent for version 3"),
        ({"arms": [{"version": 3, "percent": 101}]}, "101 percent"),
        ({"arms": [{"version": 3, "percent": float("nan")}]}, "nan percent"),
        (
            {"arms": [{"version": 3, "percent": 60}, {"version": 4, "percent": 41}]},
            "more than 100 percent together",
        ),
        ({"arms": [{"version": 3, "percent": 1}] * 2}, "a version has two shares"),
        ({"arms": [{"version": n, "percent": 1} for n in range(11)]}, "at most 10 shares"),
        ({"shadow": {"version": 3, "percent": -1}}, "-1 percent"),
        ({"shadow": {"version": 3, "speed": 1}}, "shadow.speed: not known"),
        ({"matches": [{"header": "X Y", "value": "1", "version": 3}]}, "'X Y' is not a header"),
        ({"matches": [{"header": "X-Y", "value": "a\nb", "version": 3}]}, "printable"),
        ({"matches": [{"header": "X-Y", "value": "", "version": 3}]}, "printable"),
        ({"shadow": {"version": 3}, "key": 5}, "key: use the name of a column"),
        ({"shadow": {"version": 3}, "key": None}, "key: use the name of a column"),
        ({"shadow": {"version": 3}, "arms": None}, "arms: use a list"),
        ({"shadow": {"version": 3}, "matches": ""}, "matches: use a list"),
        ({"shadow": None, "arms": [{"version": 3, "percent": 1}]}, "shadow: use an object"),
    ],
)
def test_what_is_no_rule_is_refused_with_the_reason(said: Any, why: str) -> None:
    with pytest.raises(InvalidRule) as refused:
        read_rule(said)
    assert why in str(refused.value)
