"""Traffic rules: which share of a model's requests, or which of them, go to another version than the stable
one.

A rule is data in the model's state; ``app/engine`` applies it.
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
    """A version that gets a share of the routing keys."""

    version: int
    percent: float


@dataclass(frozen=True, slots=True)
class Match:
    """A version that gets the requests with this value of a header."""

    header: str
    value: str
    version: int


@dataclass(frozen=True, slots=True)
class Shadow:
    """A version that predicts the same rows after the reply, for a share of the requests."""

    version: int
    percent: float = 100.0


@dataclass(frozen=True, slots=True)
class Rule:
    """How requests are divided: matches decide first, then the arms by routing key; the stable version gets
    the rest.
    """

    arms: tuple[Arm, ...] = ()
    matches: tuple[Match, ...] = ()
    shadow: Shadow | None = None
    #: The column whose value keeps requests without a routing key on one arm; empty for none.
    key: str = ""

    def __post_init__(self) -> None:
        for fault in self._faults():
            raise InvalidRule(fault)

    @property
    def versions(self) -> set[int]:
        """The numbers of all versions that the rule names."""
        named = {arm.version for arm in self.arms} | {match.version for match in self.matches}
        return named | ({self.shadow.version} if self.shadow else set())

    @property
    def aliases(self) -> dict[str, int]:
        """The versions of ``canary`` (the first arm) and ``shadow`` under this rule."""
        canary = {"canary": self.arms[0].version} if self.arms else {}
        return canary | ({"shadow": self.shadow.version} if self.shadow else {})

    def to_json(self) -> dict[str, Any]:
        """Return JSON data for ``read_rule``, without empty parts."""
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
                yield f"{match.header!r} is not a header: use 1-64 letters, digits and '-'"
            if not (match.value.isascii() and match.value.isprintable() and 0 < len(match.value) <= 200):
                yield f"the value of {match.header}: use 1-200 printable characters of ASCII"


def read_rule(data: Any) -> Rule:
    """Return the rule that JSON data describes; raises InvalidRule, whose message names the faulty part.

    ``{"arms": [{"version": 3, "percent": 10}], "matches": [{"header", "value", "version"}], "shadow":
    {"version": 4}, "key": "column"}``, each part optional.
    """
    if not isinstance(data, Mapping):
        raise InvalidRule("a traffic rule is an object with arms, matches, shadow or key")
    parts = {"arms", "matches", "shadow", "key"}
    if unknown := sorted(map(str, data.keys() - parts)):
        raise InvalidRule(f"a traffic rule has no {unknown[0][:64]!r}: use {', '.join(sorted(parts))}")
    key = data.get("key", "")
    if not isinstance(key, str) or len(key) > 200:
        raise InvalidRule("key: use the name of a column")
    return Rule(
        tuple(_part(Arm, one, "arms") for one in _listed(data, "arms")),
        tuple(_part(Match, one, "matches") for one in _listed(data, "matches")),
        _part(Shadow, data["shadow"], "shadow") if "shadow" in data else None,
        key,
    )


def _listed(data: Mapping[str, Any], name: str) -> list[Any]:
    parts = data.get(name, [])
    if not isinstance(parts, list | tuple):
        raise InvalidRule(f"{name}: use a list")
    return list(parts)


_TYPES: dict[str, tuple[type, ...]] = {
    "version": (int,),
    "percent": (int, float),
    "header": (str,),
    "value": (str,),
}


def _part(kind: Callable[..., T], data: Any, where: str) -> T:
    if not isinstance(data, Mapping):
        raise InvalidRule(f"{where}: use an object, such as {{'version': 3}}")
    for name, value in data.items():
        if type(value) not in _TYPES.get(name, ()):
            known = name in _TYPES
            raise InvalidRule(f"{where}.{str(name)[:64]}: {'of the wrong type' if known else 'not known'}")
    try:
        return kind(**data)
    except TypeError:
        raise InvalidRule(f"{where}: {', '.join(map(str, data)) or 'nothing'} is not what it takes") from None
