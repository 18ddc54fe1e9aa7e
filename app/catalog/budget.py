"""Which versions leave memory when those in it outgrow their budget: the least recently used."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from app.inference.model import LoadedModel
from models.names import Version


@dataclass(slots=True, eq=False)
class Resident:
    """A version in memory.

    size_bytes: how much memory it takes.
    used: a number that grows with every use, 0 before the first.
    """

    model: LoadedModel
    size_bytes: int
    used: int


@dataclass(frozen=True, slots=True)
class Budget:
    """How much may be in memory.

    max_bytes: for all versions of a process together; 0 for no limit.
    pinned: models that never leave.
    """

    max_bytes: int = 0
    pinned: Collection[str] = ()

    def leaving(
        self,
        residents: Mapping[Version, Resident],
        arrived: Version | None,
        may_leave: Callable[[Version], bool],
    ) -> list[Version]:
        """The versions that must leave: the least recently used, and of equal ones the first.

        arrived: a version that a request has just brought into memory. It stays even where no other one may
            leave, because too much in memory is better than no answer.
        may_leave: tells whether a version could be loaded again.
        """
        if not self.max_bytes:
            return []
        excess = sum(resident.size_bytes for resident in residents.values()) - self.max_bytes
        leaving = []
        for target, resident in sorted(residents.items(), key=lambda item: item[1].used):
            if excess <= 0:
                break
            if target != arrived and target.name not in self.pinned and may_leave(target):
                leaving.append(target)
                excess -= resident.size_bytes
        return leaving
