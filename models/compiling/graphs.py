"""How an estimator becomes an ONNX graph."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from models.errors import CompileError
from models.manifest import Manifest
from models.runtimes.sklearn_calls import parts, shorter


def graph64(model: Any, manifest: Manifest) -> bytes:
    """A graph of the whole estimator or pipeline over rows of float64; its last output are the scores.

    Raises CompileError that says what is missing or not supported.
    """
    return _graph("float64", model, manifest)


def graph32(model: Any, manifest: Manifest) -> bytes:
    """As ``graph64``, over rows of float32."""
    return _graph("float32", model, manifest)


def _graph(dtype: str, model: Any, manifest: Manifest) -> bytes:
    if manifest.signature.output.kind == "class" and shorter(model, probability=True) is None:
        raise CompileError(
            f"{type(parts(model)[1]).__name__} is not known to answer the class of the largest probability"
        )
    if any(column.nullable for column in manifest.signature.columns):
        raise CompileError("it takes missing values, which not every operator of a graph does")
    try:
        import onnxruntime  # noqa: F401  # without it the graph cannot be judged
        from skl2onnx import to_onnx
    except ImportError as error:
        raise CompileError(
            f"{error.name} is not installed: pip install -r requirements/compiled.txt"
        ) from error
    example = np.zeros((1, len(manifest.signature.columns)), dtype=dtype)
    options = {"zipmap": False} if manifest.signature.output.kind == "class" else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the converters' own use of other libraries
            graph: bytes = to_onnx(model, example, options=options).SerializeToString()
    except Exception as error:  # each converter raises its own
        name = type(parts(model)[1]).__name__
        raise CompileError(f"skl2onnx cannot convert {name} ({type(error).__name__})") from error
    return graph
