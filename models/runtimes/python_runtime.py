"""Serves any Python object that declares its signature: ``signature`` and ``predict(rows, **parameters)``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from models.errors import LoadError
from models.outputs import Outputs
from models.record import Record
from models.runtimes.arrays import READERS, floats
from models.runtimes.calls import model_call
from models.runtimes.pickled import load_object

LIBRARIES = ("numpy", "joblib")


class PythonRuntime:
    """The object's ``predict`` takes rows of shape (n_rows, n_columns) and the request's parameters by name.

    It returns an array of shape (n_rows,), for a vector or several outputs (n_rows, width); for classes optionally a pair of
    that and the probabilities of shape (n_rows, n_classes), of several outputs a list of them; and for records one list of
    dicts a row.
    """

    def __init__(self, record: Record) -> None:
        self.record = record
        self.model: Any = None

    def load(self) -> None:
        """Unpickle the object from verified bytes; raises LoadError."""
        self.model = load_object(self.record)
        if not callable(getattr(self.model, "predict", None)):
            raise LoadError("the unpickled object has no predict()")

    def predict(self, rows: np.ndarray, parameters: Mapping[str, Any]) -> Outputs:
        """Raises InputError as the model does, PredictError for its other failures."""
        output = self.record.manifest.signature.output
        with model_call(self.record.manifest):
            answer = self.model.predict(rows, **parameters)
            if output.kind == "records":
                return Outputs.of_records(answer)
            values, probabilities = answer if isinstance(answer, tuple) else (answer, None)
            values = READERS[output.kind](values, output)
            if isinstance(probabilities, list) and output.kind == "several":
                return Outputs(values, np.concatenate([floats(one) for one in probabilities], axis=1))
            return Outputs(values, None if probabilities is None else floats(probabilities))

    def close(self) -> None:
        """Drop the object."""
        self.model = None
