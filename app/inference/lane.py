"""Where a model is called: on the thread of the event loop, on a native thread, or in the background."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.concurrency.forms import Concurrency


@dataclass(frozen=True, slots=True)
class Lane:
    """One way to call a model. ``call`` runs the function, waits for it, and returns or raises what it does."""

    name: str
    call: Callable[[Callable[[], Any]], Any]
    #: Whether everything else in the process waits while the function runs.
    holds_hub: bool


@dataclass(frozen=True, slots=True)
class Lanes:
    """The lanes of one process."""

    hub: Lane
    thread: Lane
    #: A native thread that lets requests go first; for shadows.
    background: Lane

    @classmethod
    def of(cls, concurrency: Concurrency) -> Lanes:
        """The lanes that greenlets or native threads have."""
        return cls(
            Lane("hub", concurrency.inline, True),
            Lane("thread", concurrency.on_thread, False),
            Lane("background", concurrency.in_background, False),
        )
