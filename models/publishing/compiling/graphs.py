"""The conversion of an estimator to an ONNX graph."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from models.errors import CompileError
from models.manifest import Manifest
from models.runtimes.estimator_parts import estimator_parts
from models.runtimes.sklearn_calls import parts, shorter

#: Transformers of scikit-learn that are continuous, choose columns, or only hold other transformers (or the
#: labels). Encoders and discretisers are not: in a graph they round numbers to integers or thresholds to
#: float32.
SMOOTH = frozenset(
    {
        "ColumnTransformer",
        "FeatureUnion",
        "FunctionTransformer",
        "GenericUnivariateSelect",
        "IncrementalPCA",
        "KernelCenterer",
        "KernelPCA",
        "LabelBinarizer",
        "LabelEncoder",
        "MaxAbsScaler",
        "MinMaxScaler",
        "Normalizer",
        "PCA",
        "Pipeline",
        "PolynomialFeatures",
        "PowerTransformer",
        "QuantileTransformer",
        "RFE",
        "RobustScaler",
        "SelectFromModel",
        "SelectKBest",
        "SelectPercentile",
        "SimpleImputer",
        "StandardScaler",
        "TruncatedSVD",
        "VarianceThreshold",
        "_BinMapper",
    }
)


def graph64(model: Any, manifest: Manifest) -> bytes:
    """Return a graph of the whole estimator or pipeline over rows of float64. Its last output has the scores.

    Raises CompileError, whose message names what is missing or not supported.
    """
    return _graph("float64", model, manifest)


def graph32(model: Any, manifest: Manifest) -> bytes:
    """Return a graph like ``graph64``, over rows of float32."""
    return _graph("float32", model, manifest)


def _graph(dtype: str, model: Any, manifest: Manifest) -> bytes:
    if manifest.signature.output.kind == "class" and shorter(model, manifest.signature.output) is None:
        raise CompileError(
            f"{type(parts(model)[1]).__name__} is not known to answer the class of the largest probability"
        )
    if any(column.nullable for column in manifest.signature.columns):
        raise CompileError("it takes missing values, which not every operator of a graph does")
    if sharp := sorted({type(part).__name__ for part in estimator_parts(model) if _is_sharp(part)}):
        raise CompileError(
            "a graph may treat a value at an edge, or one that was not seen in training, differently than "
            f"{sharp[0]} does"
        )
    try:
        import onnxruntime  # noqa: F401  # the graph cannot be compared without it
        from skl2onnx import to_onnx
    except ImportError as error:
        raise CompileError(
            f"{error.name} is not installed: pip install -r requirements/compiled.txt"
        ) from error
    example = np.zeros((1, len(manifest.signature.columns)), dtype=dtype)
    options = {"zipmap": False} if manifest.signature.output.kind == "class" else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the converters warn of their own use of other libraries
            graph: bytes = to_onnx(model, example, options=options).SerializeToString()
    except Exception as error:  # each converter raises its own
        whole, final = type(model).__name__, type(parts(model)[1]).__name__
        name = whole if whole == final else f"this {whole}, which ends in {final}"
        raise CompileError(f"skl2onnx cannot convert {name} ({type(error).__name__})") from error
    return graph


def _is_sharp(part: Any) -> bool:
    """Return whether a part is a transformer that is not known to be continuous."""
    if not hasattr(part, "transform") or hasattr(part, "predict"):
        return False
    return type(part).__name__ not in SMOOTH or type(part).__module__.partition(".")[0] != "sklearn"
