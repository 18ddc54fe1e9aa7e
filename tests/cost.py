"""The processor time of a call, to compare with another call of the same run on a busy machine."""

from __future__ import annotations

import time
from collections.abc import Callable

#: At most so many times as much for ten times as much work: over proportion and what caches make of it, under its square.
LARGEST_STEP = 60.0


def cost(call: Callable[[], object]) -> float:
    """Return the processor time of a call in this thread, in seconds: the least of three."""

    def once() -> float:
        began = time.thread_time()
        call()
        return time.thread_time() - began

    return min(once() for _ in range(3))
