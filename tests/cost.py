"""What a call costs, to be compared with another call in the same run: a second on a clock says how busy the machine is."""

from __future__ import annotations

import time
from collections.abc import Callable

#: At most so many times as much for ten times as much work: over proportion and what caches make of it, under its square.
LARGEST_STEP = 60.0


def cost(call: Callable[[], object]) -> float:
    """Processor time of this thread, in seconds: the least of three."""

    def once() -> float:
        began = time.thread_time()
        call()
        return time.thread_time() - began

    return min(once() for _ in range(3))
