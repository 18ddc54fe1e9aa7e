"""Which versions of libraries are installed here."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib import metadata


def installed_versions(names: Iterable[str]) -> dict[str, str]:
    """Python's by major and minor, packages' in full; one that is not installed is left out."""
    found = {}
    for name in names:
        try:
            found[name] = (
                ".".join(platform.python_version_tuple()[:2]) if name == "python" else metadata.version(name)
            )
        except metadata.PackageNotFoundError:
            continue
    return found
