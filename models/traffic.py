"""What a traffic rule is: which share of a model's requests, or which of them, another version than the stable one gets.

A rule is data in the model's state; ``app/engine/router.py`` applies it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from models.errors import InvalidRule

T = TypeVar("T")

MOST_ARMS, MOST_MATCHES = 10, 20
HEADER_PATTERN = r"^[A-Za-z0-9-]{1,64}$"
_HEADER = re.compile(HEADER_PATTERN[1:-1])


@dataclass(frozen=True, slots=True)
class Arm:
    """A version that gets a share of the keys."""

    version: int
    percent: float


@dataclass(frozen=True, slots=True)
class Match:
    """A version that gets the requests whose header has this value."""

    header: str
    value: str
    version: int


@dataclass(frozen=True, slots=True)
class Shadow:
    """A version that is asked the same as the one that answered, after the reply, for a share of the requests."""

    version: int
    percent: float = 100.0


@dataclass(frozen=True, slots=True)
class Rule:
    """First a match decides, then the arms by the request's key; what is left is for the stable version.

    key: the column by whose value requests without a routing key stay with their arm; empty for none.
    """

    arms: tuple[Arm, ...] = ()
    matches: tuple[Match, ...] = ()
    shadow: Shadow | None = None
    key: str = ""

    def __post_init__(self) -> None:
        for fault in self._faults():
            raise InvalidRule(fault)

    @property
    def versions(self) -> set[int]:
        """Every version that the rule names."""
        named = {arm.version for arm in self.arms} | {match.version for match in self.matches}
        return named | ({self.shadow.version} if self.shadow else set())

    @property
    def aliases(self) -> dict[str, int]:
        """What ``canary`` and ``shadow`` mean under this rule: the first arm, and the version that is asked beside."""
        canary = {"canary": self.arms[0].version} if self.arms else {}
        return canary | ({"shadow": self.shadow.version} if self.shadow else {})

    def to_json(self) -> dict[str, Any]:
        """As ``read_rule`` takes it; parts that are empty are left out."""
        parts = asdict(self)
        lists = {name: list(parts[name]) for name in ("arms", "matches")}
        return {name: value for name, value in {**parts, **lists}.items() if value}

    def _faults(self) -> Iterator[str]:
        if not (self.arms or self.matches or self.shadow):
            yield "a traffic rule needs a share, a match or a shadow"
        if len(self.arms) > MOST_ARMS or len(self.matches) > MOST_MATCHES:
            yield f"a traffic rule has at most {MOST_ARMS} shares and {MOST_MATCHES} matches"
        versions = [arm.version for arm in self.arms]
        if len(set(versions)) < len(versions):
            yield "a version has two shares"
        shares = [(arm.version, arm.percent) for arm in self.arms]
        for version, percent in shares + [(s.version, s.percent) for s in [self.shadow] if s]:
            if not 0 < percent <= 100:
                yield f"{percent:g} percent for version {version}: use more than 0 and at most 100"
        if sum(arm.percent for arm in self.arms) > 100:
            yield "the shares are more than 100 percent together"
        for match in self.matches:
            if not _HEADER.fullmatch(match.header):
                yield f"{match.header!r} is no header: use 1-64 letters, digits and '-'"
            if not (match.value.isascii() and match.value.isprintable() and 0 < len(match.value) <= 200):
                yield f"the value of {match.header}: use 1-200 printable characters of ASCII, as headers are"


def read_rule(said: Any) -> Rule:
    """The rule that JSON data describes; raises InvalidRule, which says where it is none.

    ``{"arms": [{"version": 3, "percent": 10}], "matches": [{"header", "value", "version"}], "shadow": {"version": 4},
    "key": "column"}``, each part optional.
    """
    if not isinstance(said, Mapping):
        raise InvalidRule("a traffic rule is an object with arms, matches, shadow or key")
    parts = {"arms", "matches", "shadow", "key"}
    if unknown := sorted(map(str, said.keys() - parts)):
        raise InvalidRule(f"a traffic rule has no {unknown[0][:64]!r}: use {', '.join(sorted(parts))}")
    key = said.get("key", "")
    if not isinstance(key, str) or len(key) > 200:
        raise InvalidRule("key: use the name of a column")
    return Rule(
        tuple(_part(Arm, one, "arms") for one in _listed(said, "arms")),
        tuple(_part(Match, one, "matches") for one in _listed(said, "matches")),
        _part(Shadow, said["shadow"], "shadow") if "shadow" in said else None,
        key,
    )


def _listed(said: Mapping[str, Any], name: str) -> list[Any]:
    found = said.get(name, [])
    if not isinstance(found, list | tuple):
        raise InvalidRule(f"{name}: use a list")
    return list(found)


_TYPES: dict[str, tuple[type, ...]] = {
    "version": (int,),
    "percent": (int, float),
    "header": (str,),
    "value": (str,),
}


def _part(kind: Callable[..., T], said: Any, where: str) -> T:
    if not isinstance(said, Mapping):
        raise InvalidRule(f"{where}: use an object, such as {{'version': 3}}")
    for name, value in said.items():
        if type(value) not in _TYPES.get(name, ()):
            known = name in _TYPES
            raise InvalidRule(f"{where}.{str(name)[:64]}: {'of the wrong type' if known else 'not known'}")
    try:
        return kind(**said)
    except TypeError:
        raise InvalidRule(f"{where}: {', '.join(map(str, said)) or 'nothing'} is not what it takes") from None
