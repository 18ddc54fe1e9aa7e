"""Models without training, and drafts of them that can be added to a store without publishing."""

from __future__ import annotations

import math
import pickle
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np

from models.outputs import Outputs
from models.publishing.publication import Description, draft_version
from models.record import Contents, Record
from models.runtimes.pickled import ARTIFACT
from models.signature import Column, Output, Signature
from models.store import Store


class ToyRuntime:
    """A runtime that answers the sum of each row, counts its calls, and fails when told to."""

    def __init__(self, record: Record | None = None, *, failure: Exception | None = None) -> None:
        self.record = record
        self.failure = failure
        self.loads = self.calls = self.closes = 0

    def load(self) -> None:
        """Count the load, or raise the failure."""
        self.loads += 1
        if self.failure is not None:
            raise self.failure

    def predict(self, rows: np.ndarray, parameters: Mapping[str, Any]) -> Outputs:
        """Return the sum of each row, float64 of shape (n_rows,)."""
        self.calls += 1
        return Outputs(np.asarray(rows, dtype=np.float64).sum(axis=1))

    def close(self) -> None:
        """Count the call."""
        self.closes += 1


class Counting(Contents):
    """A wrapper of a version's files that counts how often each is read."""

    def __init__(self, files: Contents) -> None:
        self.files = files
        self.reads: dict[str, int] = {}

    def __getitem__(self, path: str) -> bytes:
        self.reads[path] = self.reads.get(path, 0) + 1
        return self.files[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)

    def size_bytes(self, path: str) -> int | None:
        return self.files.size_bytes(path)

    def exists(self) -> bool:
        return self.files.exists()


class Summing:
    """A model that answers the sum of two columns, times a parameter."""

    signature = Signature(
        columns=(Column("a"), Column("b")),
        output=Output("number"),
        parameters=(Column("factor", default=1.0),),
    )

    def predict(self, rows: np.ndarray, factor: float = 1.0) -> Any:
        return rows.sum(axis=1) * factor


class Plus:
    """Answers the sum of two columns and a number of its own; fails for a first value from ``fails_from`` on, or computes
    for ``stall_seconds`` before it does."""

    def __init__(
        self,
        number: float,
        columns: tuple[str, ...] = ("a", "b"),
        fails_from: float = math.inf,
        stall_seconds: float = 0.0,
    ) -> None:
        self.stall_seconds = stall_seconds
        self.number = number
        self.fails_from = fails_from
        self.signature = Signature(tuple(Column(name) for name in columns), Output("number"))

    def predict(self, rows: np.ndarray) -> Any:
        if (rows[:, 0] >= self.fails_from).any():
            until = time.perf_counter() + self.stall_seconds
            while time.perf_counter() < until:
                pass
            raise ValueError("unlucky")
        return rows.sum(axis=1) + self.number


#: What ``remember`` was called with: type and shape.
SEEN: list[tuple[str, tuple[int, ...]]] = []


def remember(X: Any) -> Any:
    """Record the input of a pipeline; used as one of its steps."""
    SEEN.append((type(X).__name__, X.shape))
    return X


class Local:
    """A lambda that can be pickled, and loaded by every process of this checkout."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        return cloudpickle.loads, (cloudpickle.dumps(self.function),)


class Canary:
    """An object that touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def summing_draft(name: str = "toy") -> Record:
    """Return a draft of Summing, as publishing builds it."""
    return draft_version(name, Summing(), [[1.0, 2.0], [3.0, 4.0]], None, Description())


def toy_store(path: Path, versions: int) -> Store:
    """Build a store with a number of equal versions of ``toy``, of which the first is stable."""
    store, draft = Store(path), summing_draft()
    for _ in range(versions):
        store.add(draft.manifest, draft.files)
    return store


def directory(version: Record) -> Path:
    """Return the directory of a version's files, which the store does not reveal."""
    return Path(str(version.files))


def canary_draft(path: Path, name: str = "toy") -> Record:
    """Return a draft that touches ``path`` if it is unpickled, even if its second half is damaged."""
    data = pickle.dumps(Canary(path))
    return summing_draft(name).with_files({ARTIFACT: data + bytes(len(data))})


class Faulty:
    """A model that answers ``good``, or ``bad`` for a negative value; no answer if ``bad`` is Ellipsis."""

    def __init__(self, output: Output, good: Any, bad: Any) -> None:
        self.signature = Signature((Column("x"),), output)
        self.good = good
        self.bad = bad

    def predict(self, rows: np.ndarray) -> Any:
        answers = [self.bad if x < 0 else self.good for x in rows[:, 0].tolist()]
        kept = [answer for answer in answers if answer is not ...]
        if self.signature.output.probability:
            return tuple(list(of_all) for of_all in zip(*kept, strict=True))
        return kept
