"""How much memory this process and this machine have, as the kernel reports it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

STATM, MEMINFO, CGROUP = Path("/proc/self/statm"), Path("/proc/meminfo"), Path("/sys/fs/cgroup")


def resident_bytes() -> int:
    """Return the resident memory of this process in bytes (proc_pid_statm(5)); 0 where it is unknown."""
    try:
        return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def available_mib() -> float | None:
    """Return the MiB that can be allocated without swapping and within the container's limit.

    The first figure comes from proc_meminfo(5), the second from cgroup v2. None where both are unknown.
    """
    limits = []
    with suppress(OSError, ValueError, KeyError, IndexError):
        lines = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
        limits.append(int(lines["MemAvailable"].split()[0]) / 1024)
    with suppress(OSError, ValueError):  # "max" where there is no limit
        maximum, current = (int((CGROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        limits.append((maximum - current) / 2**20)
    return min(limits, default=None)
