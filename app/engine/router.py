"""Which version a request gets under a traffic rule: a pure function of its key, the rule and the stable version.

Nothing is remembered and nothing is drawn, so every worker of every host decides alike, before and after a restart.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

from app.inference.messages import Route
from models.names import Version
from models.traffic import Rule

#: The places that keys fall on; a percent is a hundredth of them.
PLACES = 2**64


def choose(rule: Rule, stable: Version, key: Callable[[], str], header: Callable[[str], str | None]) -> Route:
    """``key`` gives what the request sticks to, ``header`` the value of one by its name; both are asked only if needed.

    The first arm has the keys from place 0 on, the next the ones behind it, the stable version what is left: an arm that
    is raised keeps all keys that it had.
    """
    name = stable.name
    shadow = rule.shadow
    asked = ""
    if rule.arms or (shadow is not None and shadow.percent < 100):
        asked = key()
    beside = None
    if shadow is not None and (
        shadow.percent == 100 or place(f"{name} shadow", asked) < _share(shadow.percent)
    ):
        beside = Version(name, shadow.version)
    for match in rule.matches:
        if header(match.header) == match.value:
            return _route(Version(name, match.version), "match", beside)
    if rule.arms:
        at, begins = place(name, asked), 0.0
        for i, arm in enumerate(rule.arms):
            begins += arm.percent
            if at < _share(begins):
                return _route(Version(name, arm.version), "canary" if i == 0 else f"arm-{i + 1}", beside)
    return _route(stable, "stable", beside)


def place(name: str, key: str) -> int:
    """Where the key falls, from 0 to PLACES - 1: BLAKE2b (RFC 7693) of both, since Python's own hash is another in each
    process. ``name`` keeps one model's split independent of another's."""
    text = f"{name}\0{key}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest())


def _share(percent: float) -> int:
    return round(PLACES * (percent / 100))


def _route(target: Version, arm: str, shadow: Version | None) -> Route:
    """A version is not asked beside itself."""
    return Route(target, arm, None if shadow == target else shadow)
