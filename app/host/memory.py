"""How much memory this process and this machine have, as the kernel tells it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

STATM, MEMINFO, CGROUP = Path("/proc/self/statm"), Path("/proc/meminfo"), Path("/sys/fs/cgroup")


def resident_bytes() -> int:
    """Resident memory of this process in bytes (proc_pid_statm(5)); 0 where the system does not tell."""
    try:
        return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def available_mib() -> float | None:
    """MiB that can be had without swapping (proc_meminfo(5)) and within the container's limit (cgroup v2).

    None where the system does not tell.
    """
    found = []
    with suppress(OSError, ValueError, KeyError, IndexError):
        lines = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
        found.append(int(lines["MemAvailable"].split()[0]) / 1024)
    with suppress(OSError, ValueError):  # "max" where there is no limit
        most, now = (int((CGROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        found.append((most - now) / 2**20)
    return min(found, default=None)
