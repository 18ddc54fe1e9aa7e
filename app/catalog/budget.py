"""The memory budget of models, and which versions are evicted to keep it: the least recently used."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from app.inference.model import LoadedModel
from models.names import Version


@dataclass(slots=True, eq=False)
class Resident:
    """A version in memory."""

    model: LoadedModel
    #: How much memory it takes.
    size_bytes: int
    #: The number of its last use, counted over all versions; 0 before the first.
    used: int


@dataclass(frozen=True, slots=True)
class Budget:
    """The limit of what may be in memory."""

    #: For all versions of a process together; 0 for no limit.
    max_bytes: int = 0
    #: The names of models that are never evicted.
    pinned: Collection[str] = ()

    def leaving(
        self,
        residents: Mapping[Version, Resident],
        arrived: Version | None,
        may_leave: Callable[[Version], bool],
    ) -> list[Version]:
        """Return the versions to evict: the least recently used, and of equal ones the first.

        ``arrived`` is a version that a request has just brought into memory. It stays even where no other one
        may be evicted, because too much in memory is better than no answer. ``may_leave`` tells whether a
        version could be loaded again.
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
