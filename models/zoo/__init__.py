"""The demo models, of which one file each trains and publishes, and the call that publishes them all.

They learn from scikit-learn's own data sets or from data that they generate with a fixed seed, so training
needs no network and gives the same models everywhere. No module outside this package and its tests names a
demo model.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.store import Store

#: Model name -> the module whose ``publish_into(store)`` trains and publishes it, in the order of publishing.
#: They are paths, because unpickling one of the models imports this package and must not import the other
#: models.
DEMO_MODELS: dict[str, str] = {
    "iris": "models.zoo.iris",
    "fraud": "models.zoo.fraud",
    "recommend": "models.zoo.recommend",
    "demand": "models.zoo.demand",
    "stock": "models.zoo.stock",
}


def _silent(name: str) -> None:
    """Ignore progress."""


def publish_all(store: Store, on_progress: Callable[[str], None] = _silent) -> None:
    """Train and publish every demo model. ``on_progress`` is called with the name of each before it
    starts.
    """
    for name, path in DEMO_MODELS.items():
        on_progress(name)
        import_module(path).publish_into(store)
