"""The runtime of compiled forms: trees as a native library, or a graph in ONNX Runtime.

The bytes that matched their digest are the bytes that run. A library is not opened by its path in the store,
where it could be changed between check and use, or cut short under a running worker (SIGBUS). It is copied to
anonymous memory (memfd_create(2)) and opened from there, so each worker has its own copy of the library's
pages. Neither scikit-learn nor joblib is imported as long as no answer needs the original.
"""

from __future__ import annotations

import _ctypes
import ctypes
import os
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from models.compiled import CompiledRecord
from models.errors import LoadError, PredictError
from models.outputs import Outputs
from models.record import Record
from models.runtime import Runtime, model_call
from models.runtimes.frameworks import FORMS
from models.sameness import ABSOLUTE_TOLERANCE

#: A function from rows of shape (n_rows, n_columns) to probabilities, numbers or vectors of shape (n_rows,
#: width).
Scores = Callable[[np.ndarray], np.ndarray]


class CompiledRuntime:
    """The compiled form of one version. It answers like the original, within the tolerance of the record.

    The label is the class of the largest probability. If two are so close that the form may have them in the
    other order, the original answers. ``original`` returns it loaded, and is called once: for an exact form
    when it is first needed, which is rare, and for a form in float32 at once, so that no request waits for
    it.
    """

    def __init__(self, version: Record, original: Callable[[], Runtime]) -> None:
        self.version = version
        self.record = CompiledRecord.of(version.manifest.compiled)
        signature = version.manifest.signature
        self._kind, self._width = signature.output.kind, signature.output.size or 1
        if self._kind == "class":
            self._classes = np.array(signature.output.classes)
            self._width = len(self._classes)
        self._shape = (len(signature.columns), self._width)
        self._margin = 0.0
        self._open_original = original
        self._original: Runtime | None = None
        self._scores: Scores | None = None

    def load(self) -> None:
        """Open the form from verified bytes; raises LoadError if it cannot be used on this machine."""
        record = self.record
        if record is None or record.form not in FORMS:
            raise LoadError("the version has no compiled form that this release can open")
        if fault := record.unfit():
            raise LoadError(f"its {record.form} form cannot be used: {fault}")
        self._margin = 0.0 if record.bit_exact else 2.0 * record.tolerance
        open_form = FORMS[record.form].imported()
        self._scores = open_form(self.version.read(record.file), record, *self._shape)
        if self._kind == "class" and record.tolerance > ABSOLUTE_TOLERANCE:
            self._original = self._open_original()

    def predict(self, rows: np.ndarray, parameters: Mapping[str, Any]) -> Outputs:
        """Return the answers to rows; raises PredictError for a row that the form cannot answer."""
        assert self._scores is not None
        with model_call(self.version.manifest):
            scores = self._scores(rows)
        if self._kind != "class":
            return Outputs(scores[:, 0] if self._kind == "number" else scores)
        if self._margin and self._width > 1:
            ordered = scores if self._width == 2 else np.sort(scores, axis=1)
            close = np.abs(ordered[:, -1] - ordered[:, -2]) <= self._margin
            if close.any():
                return self._with_labels_of_original(rows, parameters, scores, close)
        return Outputs(self._classes[scores.argmax(axis=1)], scores)

    def close(self) -> None:
        """Release the form, and the original if it was loaded."""
        self._scores = None
        if self._original is not None:
            self._original.close()
            self._original = None

    def _with_labels_of_original(
        self, rows: np.ndarray, parameters: Mapping[str, Any], scores: np.ndarray, close: np.ndarray
    ) -> Outputs:
        """Return the answers with the original's labels for the rows in ``close``: ndarray of bool, shape
        (n_rows,).
        """
        if self._original is None:
            try:
                self._original = self._open_original()
            except LoadError as error:
                raise PredictError(
                    f"two classes are equally probable and the original is needed: {error}"
                ) from error
        labels = self._classes[scores.argmax(axis=1)]
        labels[close] = self._original.predict(rows[close], parameters).values
        return Outputs(labels, scores)


def open_library(data: bytes, record: CompiledRecord, n_columns: int, width: int) -> Scores:
    """Return the library's function over C arrays, which releases the GIL while it computes."""
    library = _library(data)
    try:
        # An attribute would be cached by the library, and the cycle would keep both alive; an item is not.
        function, columns, outputs = (
            library[f"plumbline_{name}"] for name in ("predict", "columns", "width")
        )
    except AttributeError as error:
        raise LoadError("its native library was not built for this release", str(error)) from error
    if (columns(), outputs()) != (n_columns, width):
        raise LoadError(f"its native library is for {columns()} columns and {outputs()} outputs")
    function.argtypes = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)
    function.restype = ctypes.c_int64

    def scores(rows: np.ndarray) -> np.ndarray:
        rows = np.ascontiguousarray(rows, dtype=np.float64)
        _check_width(rows, n_columns)
        results = np.empty((len(rows), width))
        fault_row = function(rows.ctypes.data, len(rows), results.ctypes.data)
        if fault_row:
            raise _unfit_row(fault_row - 1)
        return results

    return scores


def _library(data: bytes) -> ctypes.CDLL:
    """Open the library in these bytes; raises LoadError. It is closed when nothing refers to it or its
    functions.

    The linker identifies a library by its path, and returns an open one for a path that it knows. The
    descriptor, which makes the path, therefore stays in use as long as the library is open.
    """
    descriptor = os.memfd_create("compiled-model", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(data)
        library = ctypes.CDLL(f"/proc/self/fd/{descriptor}")
    except OSError as error:
        os.close(descriptor)
        raise LoadError("its native library cannot be opened", str(error)) from error
    weakref.finalize(library, _close_library, library._handle, descriptor).atexit = False
    return library


def _close_library(handle: int, descriptor: int) -> None:
    _ctypes.dlclose(handle)
    os.close(descriptor)


def open_graph(data: bytes, record: CompiledRecord, n_columns: int, width: int) -> Scores:
    """Return a session with one thread, like everything in a worker. Its last output has the scores."""
    try:
        import onnxruntime  # optional: only versions with such a form need it
    except ImportError as error:
        raise LoadError(
            "its graph needs ONNX Runtime: pip install -r requirements/compiled.txt", str(error)
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised too, and logged in the server's own format
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has no exception type of its own for a faulty graph
        raise LoadError("its graph cannot be opened", str(error)) from error
    input_name, output_names = session.get_inputs()[0].name, [session.get_outputs()[-1].name]
    dtype = np.dtype(record.dtype)

    def scores(rows: np.ndarray) -> np.ndarray:
        _check_width(rows, n_columns)
        if dtype == rows.dtype:
            cast = np.ascontiguousarray(rows)
        else:
            with np.errstate(over="ignore"):  # a value that does not fit becomes infinite, which is refused
                cast = np.ascontiguousarray(rows, dtype=dtype)
        finite = np.isfinite(cast)
        if not finite.all():
            raise _unfit_row(int(np.argmin(finite.all(axis=1))))
        results: np.ndarray = session.run(output_names, {input_name: cast})[0]
        return results.astype(np.float64).reshape(len(rows), width)

    return scores


def _check_width(rows: np.ndarray, n_columns: int) -> None:
    """Validate the shape of rows: a native library would read beyond the end of a row that is too short."""
    if rows.ndim != 2 or rows.shape[1] != n_columns:
        raise PredictError(f"rows of shape {rows.shape} where (n_rows, {n_columns}) is expected")


def _unfit_row(row: int) -> PredictError:
    return PredictError(f"row {row} has a value that is missing, infinite or too large for the model")
