"""Which demo models exist, and how they all get into a store: one file trains and publishes each.

All of them learn from scikit-learn's own data sets or from data that they generate with a fixed seed, so
training needs no network and gives the same models everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.store import Store

#: Model name -> the module whose ``publish(store)`` trains and publishes it, in the order of publishing.
#: Paths and not modules, because this package is also imported to unpickle one of the models, which must not
#: load the rest.
DEMO_MODELS: dict[str, str] = {
    "iris": "models.zoo.iris",
    "fraud": "models.zoo.fraud",
    "recommend": "models.zoo.recommend",
    "demand": "models.zoo.demand",
    "stock": "models.zoo.stock",
}


def _silent(name: str) -> None:
    """Progress that nobody watches."""


def publish_all(store: Store, on_progress: Callable[[str], None] = _silent) -> None:
    """Train and publish every demo model; ``on_progress`` gets the name of each before it starts."""
    for name, path in DEMO_MODELS.items():
        on_progress(name)
        import_module(path).publish_into(store)
