"""One version as a process has it: whether it is in memory, why not, and who waits for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.catalog.budget import Resident
from app.concurrency.forms import Lock
from app.inference.model import LoadedModel
from models.record import Record

State = Literal["lazy", "loading", "ready", "failed"]


@dataclass(slots=True, eq=False)
class Loaded:
    """One version in this process. ``seconds`` is how long loading it took; ``resident`` : what it takes, once loaded;
    ``unproved`` : it came while the process served; ``evicted`` : it left to make room; ``waiting`` : how many wait until it
    is loaded, requests and the server that starts."""

    lock: Lock
    stored: Record | None
    fault: str = ""
    unproved: bool = False
    evicted: bool = False
    state: State = "lazy"
    reason: str = ""
    seconds: float = 0.0
    served: LoadedModel | None = None
    resident: Resident | None = None
    waiting: int = 0
