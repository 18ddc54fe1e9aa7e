"""The runtime of Python objects that declare their signature: ``signature`` and ``predict(rows,
**parameters)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from models.errors import LoadError
from models.manifest import Manifest
from models.outputs import Outputs
from models.record import Record
from models.runtime import model_call
from models.runtimes.arrays import READERS, floats
from models.runtimes.frameworks import Visit, load_object


class PythonRuntime:
    """One object that declares its signature.

    Its ``predict`` takes rows of shape (n_rows, n_columns) and the request's parameters by name. It returns
    an array of shape (n_rows,), or (n_rows, width) for a vector or several outputs. For classes it may return
    a pair of that array and the probabilities of shape (n_rows, n_classes), for several outputs a list of
    them. For records it returns one list of dicts for each row.
    """

    def __init__(self, record: Record, model: Any = None) -> None:
        self.record = record
        self.model: Any = model

    @staticmethod
    def read(record: Record, visit: Visit = lambda package: None) -> Any:
        """Unpickle the object from verified bytes; raises LoadError."""
        return PythonRuntime.prepare(load_object(record, visit), record.manifest)

    @staticmethod
    def prepare(model: Any, manifest: Manifest) -> Any:
        """Return the unpickled object unchanged; raises LoadError if it cannot answer."""
        if not callable(getattr(model, "predict", None)):
            raise LoadError("the unpickled object has no predict()")
        return model

    def load(self) -> None:
        """Read the object unless it was given; raises LoadError."""
        if self.model is None:
            self.model = self.read(self.record)

    def predict(self, rows: np.ndarray, parameters: Mapping[str, Any]) -> Outputs:
        """Return the answers to rows; raises InputError like the model, and PredictError for its other
        failures.
        """
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
        """Release the object."""
        self.model = None
