"""What a runtime is: something that loads one version, answers rows, and lets go of it."""

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
    """One version of one model. The constructor stores, ``load`` acts, ``close`` undoes."""

    def load(self) -> None:
        """Bring the model into memory; raises LoadError."""

    def predict(self, rows: np.ndarray, parameters: Mapping[str, Any]) -> Outputs:
        """Answer rows of shape (n_rows, n_columns), float64 or object as the signature says.

        Raises InputError for values that only the model can judge, PredictError for anything else.
        """

    def close(self) -> None:
        """Release the model's memory."""


@contextmanager
def model_call(manifest: Manifest) -> Iterator[None]:
    """InputError passes; any other exception of the model becomes a PredictError that names the version."""
    token = RUNNING_VERSION.set(manifest)
    try:
        yield
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # the model is foreign code
        said = " ".join(str(error).split())[:300]
        raise PredictError(f"{manifest.key} failed: {type(error).__name__}: {said}") from error
    finally:
        RUNNING_VERSION.reset(token)
