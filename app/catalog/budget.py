"""Which versions leave memory when what is loaded outgrows its budget: the least recently used, and never what is needed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from models.names import Version


@dataclass(slots=True)
class Resident:
    """A version in memory. ``used`` : a number that grows with every use, 0 before the first."""

    size_bytes: int
    used: int


@dataclass(frozen=True, slots=True)
class Budget:
    """``max_bytes`` for all versions of a process together, 0 for no limit; ``pinned`` models never leave."""

    max_bytes: int = 0
    pinned: Collection[str] = ()

    def leaving(
        self,
        resident: Mapping[Version, Resident],
        arrived: Version | None,
        may_leave: Callable[[Version], bool],
    ) -> list[Version]:
        """Who must leave, of those that were used least recently the first in ``resident``; ``may_leave`` : whether the version
        could come back. One that has just arrived because it was asked for stays even where nobody else may leave: more is
        in memory then than there should be, which is better than not to answer."""
        if not self.max_bytes:
            return []
        excess = sum(version.size_bytes for version in resident.values()) - self.max_bytes
        found = []
        for target, version in sorted(resident.items(), key=lambda item: item[1].used):
            if excess <= 0:
                break
            if target != arrived and target.name not in self.pinned and may_leave(target):
                found.append(target)
                excess -= version.size_bytes
        return found
