"""Which versions of libraries are installed here, and which library a module belongs to."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib import metadata
from pathlib import Path


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


def versions_of(modules: Mapping[str, str]) -> dict[str, str]:
    """The installed libraries that modules belong to, with their versions.

    modules: names with the files that they were imported from. What no library brought, such as a file of one's own, has
    no version and is left out.
    """
    files: dict[str, list[Path]] = {}
    for name, file in modules.items():
        files.setdefault(name.split(".")[0], []).append(Path(file))
    if not files:
        return {}
    there = tuple((path, os.stat(path).st_mtime_ns) for path in sys.path if os.path.isdir(path))
    packages = _packages(there)
    return {
        name: metadata.version(name)
        for package in sorted(files.keys() & packages.keys())
        for name in packages[package]
        if _brought(metadata.distribution(name), files[package], alone=len(packages[package]) == 1)
    }


def requirements_of(names: Iterable[str]) -> set[str]:
    """These libraries, and what they and their requirements declare to need, extras aside; names as ``canonical`` has them."""
    found: set[str] = set()
    waiting = [canonical(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            try:
                declared = metadata.requires(name) or []
            except metadata.PackageNotFoundError:
                continue
            needed = (re.match(r"[\w.-]+", one) for one in declared if "extra ==" not in one)
            waiting += [canonical(match[0]) for match in needed if match]
    return found


def canonical(name: str) -> str:
    """The one spelling of a library's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


@lru_cache(maxsize=1)
def _packages(there: tuple[tuple[str, int], ...]) -> Mapping[str, list[str]]:
    """Top-level module -> the libraries that have it; read again, which takes a while, when a directory of ``sys.path``
    changed."""
    return {name: sorted(set(found)) for name, found in metadata.packages_distributions().items()}


def _brought(library: metadata.Distribution, files: Iterable[Path], alone: bool) -> bool:
    """Whether the library brought one of these files; another directory may have a package of the same name.

    alone: no other library has a package of that name, so that not every file of it needs to be looked at.
    """
    url = json.loads(library.read_text("direct_url.json") or "{}")
    if url.get("dir_info", {}).get("editable"):  # its files stay where they were written
        return any(str(file).startswith(url["url"].removeprefix("file://")) for file in files)
    own = Path(str(library.locate_file("")))
    listed = frozenset() if alone else {str(file) for file in library.files or ()}
    inside = [str(file.relative_to(own)) for file in files if file.is_relative_to(own)]
    return bool(inside) if alone else any(file in listed for file in inside)
