"""The runtime of fitted scikit-learn estimators and pipelines, pickled by joblib."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from models.errors import LoadError
from models.golden import GOLDEN
from models.manifest import Manifest
from models.outputs import Outputs
from models.record import Record
from models.runtime import model_call
from models.runtimes.containers import Pack, packer, takes_names
from models.runtimes.estimator_parts import prepare_for_serving
from models.runtimes.frameworks import Visit, load_object
from models.runtimes.sklearn_calls import Call, plain, same_bits, shorter
from models.runtimes.sklearn_import import import_sklearn

import_sklearn()

from sklearn.exceptions import InconsistentVersionWarning  # noqa: E402


class SklearnRuntime:
    """One estimator, called with ``predict``, and ``predict_proba`` if needed, or with a shorter call of the
    same answers.

    It gets the container that the manifest names. If that shows no names, they are removed from the loaded
    copy: the request was validated when it was read. The estimator may write to its input.
    """

    def __init__(self, record: Record, model: Any = None) -> None:
        self.record = record
        self.model: Any = model
        self._call: Call | None = None
        self._pack: Pack | None = None
        self._may_write = True

    @staticmethod
    def read(record: Record, visit: Visit = lambda package: None) -> Any:
        """Unpickle the estimator from verified bytes and prepare it for serving; raises LoadError. It is not
        called.
        """
        with warnings.catch_warnings():
            # The loader compares library versions itself, and its message says more than this warning.
            warnings.simplefilter("ignore", InconsistentVersionWarning)
            return SklearnRuntime.prepare(load_object(record, visit), record.manifest)

    @staticmethod
    def prepare(model: Any, manifest: Manifest) -> Any:
        """Prepare the unpickled estimator for serving, and return it; raises LoadError if it cannot
        answer.
        """
        method = manifest.signature.output.method
        if not callable(getattr(model, method, None)):
            raise LoadError(f"the unpickled object has no {method}()")
        prepare_for_serving(model, keep_names=takes_names(manifest))
        return model

    def load(self) -> None:
        """Read the estimator unless it was given, and choose how it is called; raises LoadError."""
        if self.model is None:
            self.model = self.read(self.record)
        manifest = self.record.manifest
        output = manifest.signature.output
        self._pack, self._call, self._may_write = packer(manifest), plain(self.model, output), True
        short = shorter(self.model, output) if GOLDEN in manifest.files else None
        if short is not None and self._agrees(short):
            self._call, self._may_write = short, False

    def predict(self, rows: np.ndarray, parameters: Mapping[str, Any]) -> Outputs:
        """Return the answers to rows; raises PredictError if the estimator fails."""
        manifest = self.record.manifest
        with model_call(manifest):
            assert self._call is not None
            return self._call(self._input(rows))

    def close(self) -> None:
        """Release the estimator."""
        self.model = self._call = self._pack = None

    def _input(self, rows: np.ndarray) -> Any:
        """Return the input of the call.

        The rows belong to the request, which reads them after the call; only the short calls are known not to
        write.
        """
        assert self._pack is not None
        X = self._pack(rows)
        return rows.copy() if X is rows and self._may_write else X

    def _agrees(self, short: Call) -> bool:
        """Return whether a shorter call gives the same bits for the golden rows, all in one call and the
        first one alone.
        """
        assert self._call is not None
        rows = self.record.golden.rows
        try:
            inputs = [self._input(part) for part in (rows, rows[:1])]
            return all(same_bits(self._call(X), short(X)) for X in inputs)
        except Exception:  # a model's code may raise anything; the caller finds out whether it works at all
            return False
