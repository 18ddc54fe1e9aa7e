"""How scikit-learn comes into a process without pandas.

scikit-learn imports pandas wherever it is installed, for a name that none of its own code reads. What it does
with a DataFrame starts from the DataFrame, and so from a process that has pandas already. pandas takes a
sixth of the memory of a
worker with a small model, and a fifth of the time of its start: it is imported when a model needs it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from models.libraries import installed_versions

#: The releases of scikit-learn that work without the name, by tests/models/runtimes/test_sklearn_import.py.
TESTED = ("1.9.1",)


def import_sklearn() -> None:
    """Import scikit-learn; pandas comes with it only for a release that was not tested."""
    if "sklearn" in sys.modules:
        return
    if installed_versions(["scikit-learn"]).get("scikit-learn") not in TESTED:
        import_module("sklearn")
        return
    finder = WithoutPandas()
    sys.meta_path.insert(0, finder)
    try:
        import_module("sklearn")
    finally:
        sys.meta_path.remove(finder)


class WithoutPandas(MetaPathFinder):
    """pandas cannot be found by the thread that makes this finder; other threads go on importing it."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Raises ModuleNotFoundError for pandas; leaves every other module to the finders after this one."""
        if name == "pandas" and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None
