"""Routing by a traffic rule: a pure function of the request's key, the rule and the stable version.

It has no state and uses no random numbers, so every worker of every host decides alike, before and after a
restart.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

from app.inference.messages import Route
from models.names import Version
from models.traffic import Rule

#: The number of places that keys are hashed to; an arm gets its percentage of them.
PLACES = 2**64


def choose(rule: Rule, stable: Version, key: Callable[[], str], header: Callable[[str], str | None]) -> Route:
    """Return the route of a request.

    ``key`` returns the routing key, and ``header`` the value of the header of that name; they are called only
    if needed.

    Arms get consecutive ranges of places, the first one from place 0 on, and the stable version gets the
    rest. A first arm whose percentage grows therefore keeps all of its keys.
    """
    name = stable.name
    shadow = rule.shadow
    routing_key = ""
    if rule.arms or (shadow is not None and shadow.percent < 100):
        routing_key = key()
    shadow_version = None
    if shadow is not None and (
        shadow.percent == 100 or place(f"{name} shadow", routing_key) < _places(shadow.percent)
    ):
        shadow_version = Version(name, shadow.version)
    for match in rule.matches:
        if header(match.header) == match.value:
            return _route(Version(name, match.version), "match", shadow_version)
    if rule.arms:
        key_place, percent = place(name, routing_key), 0.0
        for i, arm in enumerate(rule.arms):
            percent += arm.percent
            if key_place < _places(percent):
                arm_name = "canary" if i == 0 else f"arm-{i + 1}"
                return _route(Version(name, arm.version), arm_name, shadow_version)
    return _route(stable, "stable", shadow_version)


def place(name: str, key: str) -> int:
    """Return the place of a key, from 0 to PLACES - 1.

    It is the BLAKE2b hash (RFC 7693) of name and key, because Python's own hash differs from process to
    process. The ``name`` makes the split of one model independent of another's.
    """
    text = f"{name}\0{key}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest())


def _places(percent: float) -> int:
    """Return how many places a percentage is."""
    return round(PLACES * (percent / 100))


def _route(target: Version, arm: str, shadow: Version | None) -> Route:
    """Return the route, without a shadow that is the target itself."""
    return Route(target, arm, None if shadow == target else shadow)
