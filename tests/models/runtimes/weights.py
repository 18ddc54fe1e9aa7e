"""A framework for tests: numbers in a text file that begins with ``weights``, and a runtime that multiplies
by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from models.errors import LoadError
from models.manifest import Manifest
from models.outputs import Outputs
from models.record import Record
from models.runtimes.frameworks import Framework, Packing, Visit, load_object
from models.signature import Column, Output, Signature


class Weights:
    """A model with one weight for each column."""

    def __init__(self, numbers: list[float]) -> None:
        self.numbers = numbers


def pack(model: Weights) -> bytes:
    return f"weights {' '.join(map(str, model.numbers))}".encode()


def unpack(data: bytes, code_files: Mapping[str, bytes], visit: Visit, *, alone: bool) -> Weights:
    try:
        return Weights([float(number) for number in data.decode().split()[1:]])
    except ValueError as error:
        raise LoadError("a weight is no number", str(error)) from error


class WeightsRuntime:
    def __init__(self, record: Record, model: Any = None) -> None:
        self.record, self.model = record, model

    @staticmethod
    def read(record: Record, visit: Visit = lambda package: None) -> Any:
        return load_object(record, visit)

    @staticmethod
    def prepare(model: Any, manifest: Manifest) -> Any:
        return model

    def load(self) -> None:
        self.model = self.model or self.read(self.record)

    def predict(self, rows: np.ndarray, parameters: Mapping[str, Any]) -> Outputs:
        return Outputs(rows @ np.array(self.model.numbers))

    def close(self) -> None:
        self.model = None


def signature(model: Weights) -> Signature:
    return Signature(tuple(Column(f"x{i}") for i in range(len(model.numbers))), Output("number"))


#: All that it takes.
WEIGHTS = Framework(
    opens="tests.models.runtimes.weights:WeightsRuntime",
    libraries=("numpy",),
    packings=(Packing("weights.txt", __name__, lambda head: head.startswith(b"weights ")),),
    claims=lambda model, given: isinstance(model, Weights),
    signature=signature,
)
