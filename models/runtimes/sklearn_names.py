"""How a table names a class of scikit-learn without importing it."""

from __future__ import annotations

import sys


def public_name(kind: type) -> str:
    """``sklearn.linear_model.LogisticRegression`` for the class that scikit-learn publishes there, empty for
    any other.

    A subclass has no name, whatever it is called: it may compute something else.
    """
    package = ".".join(kind.__module__.split(".")[:2])
    published = getattr(sys.modules.get(package), kind.__name__, None)
    return f"{package}.{kind.__name__}" if published is kind and package.startswith("sklearn.") else ""
