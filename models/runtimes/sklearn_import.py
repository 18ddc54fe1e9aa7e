"""The import of scikit-learn without pandas.

scikit-learn imports pandas if it is installed, for a name that none of its own code reads. What it does with
a DataFrame starts from the DataFrame, and so in a process that has pandas already. pandas takes a sixth of
the memory of a worker with a small model, and a fifth of its start-up time, so it is imported only when a
model needs it.
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

#: The releases that work without pandas, as tests/models/runtimes/test_sklearn_import.py verifies.
TESTED = ("1.9.1",)


def import_sklearn() -> None:
    """Import scikit-learn. Only a release that was not tested brings pandas with it."""
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
    """A finder that hides pandas from the thread that created it; other threads can still import it."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Raise ModuleNotFoundError for pandas, and leave every other module to the next finders."""
        if name == "pandas" and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None
