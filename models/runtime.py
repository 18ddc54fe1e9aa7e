"""The interface of a runtime, which loads one version and answers rows, and the context of every call of a
model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from models.errors import InputError, PredictError
from models.manifest import Manifest
from models.outputs import Outputs
from models.talk import RUNNING_VERSION


class Runtime(Protocol):
    """One version of one model in memory. The constructor only stores; ``load`` acts and ``close`` undoes
    it.
    """

    def load(self) -> None:
        """Load the model into memory; raises LoadError."""

    def predict(self, rows: np.ndarray, parameters: Mapping[str, Any]) -> Outputs:
        """Return the answers to rows: ndarray of shape (n_rows, n_columns), float64 or object as the
        signature says.

        Raises InputError for values that only the model can judge, and PredictError for any other failure.
        """

    def close(self) -> None:
        """Release the model's memory."""


@contextmanager
def model_call(manifest: Manifest) -> Iterator[None]:
    """Mark the version whose code runs, and turn its failures into the errors of this project.

    InputError passes. Any other exception becomes a PredictError that names the version.
    """
    token = RUNNING_VERSION.set(manifest)
    try:
        yield
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # a model's code may raise anything
        message = " ".join(str(error).split())[:300]
        raise PredictError(f"{manifest.key} failed: {type(error).__name__}: {message}") from error
    finally:
        RUNNING_VERSION.reset(token)
