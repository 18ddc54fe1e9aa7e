"""Lanes: the ways to call a model, on the event loop's thread, on a native thread or in the background."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.concurrency.forms import Concurrency


@dataclass(frozen=True, slots=True)
class Lane:
    """One way to call a model."""

    #: Runs the function, waits for it, and returns or raises what it does.
    call: Callable[[Callable[[], Any]], Any]
    #: The function blocks everything else in the process while it runs.
    holds_hub: bool


@dataclass(frozen=True, slots=True)
class Lanes:
    """The lanes of one process."""

    hub: Lane
    thread: Lane
    #: A native thread that gives way to requests; for shadows.
    background: Lane

    @classmethod
    def of(cls, concurrency: Concurrency) -> Lanes:
        """Return the lanes that the process's concurrency provides."""
        return cls(
            Lane(concurrency.inline, True),
            Lane(concurrency.on_thread, False),
            Lane(concurrency.in_background, False),
        )
