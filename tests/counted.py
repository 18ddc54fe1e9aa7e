"""Which processes of Python that tests start count their lines for the coverage: servers alone.

Starting to count takes ten times as long as starting Python, and what is killed or forked writes no count.
"""

from __future__ import annotations

import os

#: The variables of the environment by which coverage starts in a process; empty where no coverage is taken.
COUNTED: dict[str, str] = {}


def count_no_children() -> None:
    """Remove the variables from the environment, so that only processes with ``COUNTED`` count."""
    for name in [name for name in os.environ if name.startswith("COVERAGE_PROCESS_")]:
        COUNTED[name] = os.environ.pop(name)
