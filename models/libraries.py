"""The installed libraries: their versions, and which library a module belongs to."""

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
    """Return the version of each installed library: Python's by major and minor, a package's in full.

    Libraries that are not installed are left out.
    """
    versions = {}
    for name in names:
        try:
            versions[name] = (
                ".".join(platform.python_version_tuple()[:2]) if name == "python" else metadata.version(name)
            )
        except metadata.PackageNotFoundError:
            continue
    return versions


def versions_of(modules: Mapping[str, str]) -> dict[str, str]:
    """Return the installed libraries that modules belong to, with their versions.

    ``modules`` maps names to the files that they were imported from. A module that belongs to no library,
    such as a file of the publisher's own, has no version and is left out.
    """
    files: dict[str, list[Path]] = {}
    for name, file in modules.items():
        files.setdefault(name.split(".")[0], []).append(Path(file))
    if not files:
        return {}
    search_path = tuple((path, os.stat(path).st_mtime_ns) for path in sys.path if os.path.isdir(path))
    packages = _packages(search_path)
    return {
        name: metadata.version(name)
        for package in sorted(files.keys() & packages.keys())
        for name in packages[package]
        if _brought(metadata.distribution(name), files[package], alone=len(packages[package]) == 1)
    }


def requirements_of(names: Iterable[str]) -> set[str]:
    """Return the libraries and everything that they require, without extras; names as ``canonical`` spells
    them.
    """
    required: set[str] = set()
    waiting = [canonical(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name not in required:
            required.add(name)
            try:
                declared = metadata.requires(name) or []
            except metadata.PackageNotFoundError:
                continue
            needed = (re.match(r"[\w.-]+", one) for one in declared if "extra ==" not in one)
            waiting += [canonical(match[0]) for match in needed if match]
    return required


def canonical(name: str) -> str:
    """Return the normalized spelling of a library's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


@lru_cache(maxsize=1)
def _packages(search_path: tuple[tuple[str, int], ...]) -> Mapping[str, list[str]]:
    """Map each top-level module to the libraries that provide it.

    The lookup takes a while. It is repeated only when a directory of ``sys.path`` has changed.
    """
    return {name: sorted(set(libraries)) for name, libraries in metadata.packages_distributions().items()}


def _brought(library: metadata.Distribution, files: Iterable[Path], alone: bool) -> bool:
    """Return whether the library provides one of these files. Another directory may have a package of the
    same name.

    ``alone``: no other library has a package of that name, so its list of files need not be read.
    """
    url = json.loads(library.read_text("direct_url.json") or "{}")
    if url.get("dir_info", {}).get("editable"):  # its files stay in their source tree
        return any(str(file).startswith(url["url"].removeprefix("file://")) for file in files)
    own = Path(str(library.locate_file("")))
    listed = frozenset() if alone else {str(file) for file in library.files or ()}
    inside = [str(file.relative_to(own)) for file in files if file.is_relative_to(own)]
    return bool(inside) if alone else any(file in listed for file in inside)
