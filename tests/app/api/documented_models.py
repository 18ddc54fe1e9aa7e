"""Models that the toy store lacks: a vector, nullable columns, defaults, hostile names, a damaged version."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from models.manifest import MANIFEST
from models.publishing import publish
from models.signature import Column, Output, Signature
from models.store import Store

#: More columns than a table of the document shows.
WIDTH = 75

#: Names that would meet in an operationId, a component or a tag if these were put together carelessly.
COLLIDING = (
    "v1",
    "batch",
    "predict",
    "default",
    "models",
    "catalog",
    "service",
    "iris-v1",
    "iris_v1_predict",
)
DAMAGED = "damaged"


class Doubled:
    """A model that answers a vector as wide as the row."""

    signature = Signature(
        columns=tuple(Column(f"x{i}") for i in range(WIDTH)), output=Output("vector", size=WIDTH), named=False
    )

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return rows * 2


class Optional:
    """A model with nullable and optional columns of every type, and boolean classes."""

    signature = Signature(
        columns=(
            Column("age", "int", "In years", minimum=0, maximum=130, observed=(18.0, 90.5)),
            Column("pay", "float", nullable=True),
            Column("day", "date"),
            Column("kind", "category", values=("a", "b"), default="a"),
            Column("size", "category", values=(1, 2, "many"), nullable=True),
            Column("member", "bool", default=False),
        ),
        output=Output("class", classes=(False, True), probability=True),
    )

    def predict(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        chance = np.array([min(age, 100) / 100 for age in rows[:, 0]])
        return chance > 0.5, np.stack((1 - chance, chance), axis=1)


class Ranked:
    """A model with records in an envelope, a parameter, and a name that is hostile to Markdown and HTML."""

    signature = Signature(
        columns=(
            Column("a|b`*<img src=x onerror=alert(1)>\\", "string", "| **not bold** | <b>", max_length=9),
        ),
        parameters=(Column("k", "int", default=2, minimum=1, maximum=5),),
        output=Output("records", columns=(Column("item", "string"), Column("score", nullable=True))),
    )

    def predict(self, rows: np.ndarray, k: int) -> list[list[dict[str, Any]]]:
        return [
            [{"item": f"{text}{i}", "score": None if i else 0.5} for i in range(k)] for text in rows[:, 0]
        ]


def publish_documented(toys: Path, path: Path) -> Store:
    """Copy the toy store and add these models."""
    shutil.copytree(toys, path)
    store = Store(path)
    sample = np.arange(WIDTH * 3.0).reshape(3, WIDTH)
    publish(store, "doubled", Doubled(), sample)
    row = [40, 1000.0, "2026-02-28", "b", "many", True]
    publish(store, "optional", Optional(), [row, [20, None, "2026-03-01", "a", None, False]])
    publish(store, "ranked", Ranked(), [["x"], ["y"]], description="Sorted\n# by | **nothing** <script>")
    stored = store.get("doubled", 1)
    files = {name: stored.read(name) for name in stored.manifest.files}
    for name in (*COLLIDING, DAMAGED):
        store.add(replace(stored.manifest, name=name), files)
    (path / DAMAGED / "1" / MANIFEST).write_text("{")
    return store
