"""The names of scikit-learn's classes, which tables use without importing them."""

from __future__ import annotations

import sys


def public_name(kind: type) -> str:
    """Return the name under which scikit-learn publishes a class, such as
    ``sklearn.linear_model.LogisticRegression``.

    It is empty for any other class. A subclass has no name, whatever it is called, since it may compute
    something else.
    """
    package = ".".join(kind.__module__.split(".")[:2])
    published = getattr(sys.modules.get(package), kind.__name__, None)
    return f"{package}.{kind.__name__}" if published is kind and package.startswith("sklearn.") else ""
