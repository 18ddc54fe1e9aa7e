"""Serves any Python object that declares its signature: ``signature`` and ``predict(rows, **parameters)``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from models.errors import LoadError, PredictError
from models.manifest import Artifact
from models.outputs import Outputs
from models.runtimes.calls import model_call
from models.runtimes.pickled import load_object

LIBRARIES = ("numpy", "joblib")


class PythonRuntime:
    """The object's ``predict`` takes rows of shape (n_rows, n_columns) and the request's parameters by name.

    It returns an array of shape (n_rows,) or (n_rows, size), for a class output optionally a pair of that and the
    probabilities of shape (n_rows, n_classes), and for records one list of dicts a row.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self.model: Any = None

    def load(self) -> None:
        """Unpickle the object from verified bytes; raises LoadError."""
        self.model = load_object(self.artifact)
        if not callable(getattr(self.model, "predict", None)):
            raise LoadError("the unpickled object has no predict()")

    def predict(self, rows: np.ndarray, parameters: Mapping[str, Any]) -> Outputs:
        """Raises InputError as the model does, PredictError for its other failures."""
        output = self.artifact.manifest.signature.output
        with model_call(self.artifact.manifest):
            answer = self.model.predict(rows, **parameters)
            if output.kind == "records":
                outputs = Outputs.of_records(answer)
            elif isinstance(answer, tuple):
                outputs = Outputs(np.asarray(answer[0]), np.asarray(answer[1], dtype=np.float64))
            else:
                outputs = Outputs(np.asarray(answer))
        if len(outputs) != len(rows):
            raise PredictError(f"the model answered {len(outputs)} rows where {len(rows)} were asked")
        return outputs

    def close(self) -> None:
        """Drop the object."""
        self.model = None
