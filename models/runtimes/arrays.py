"""The answers of models, which may be containers of any library, as dense arrays of numbers or labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from models.outputs import array_of
from models.signature import Output


def dense(answer: Any) -> np.ndarray:
    """Return an answer as an ndarray: an array, sparse matrix, list, or a frame or column of pandas, polars
    or pyarrow.

    Python objects in the result are of JSON's types, without scalars of NumPy. Objects that are all numbers
    become an array of numbers.
    """
    array = answer if type(answer) is np.ndarray else _array(answer)
    if array.dtype.char == "g":  # JSON has no number beyond float64
        return array.astype(np.float64)
    return _natural(array) if array.dtype.char == "O" else array


def labels(answer: Any, output: Output) -> np.ndarray:
    """Return the labels of a class output, of shape (n_rows,).

    Some libraries return a column, and some 1.0 for the class 1.
    """
    array = dense(answer)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    return _of_type(array, output.classes)


def several(answer: Any, output: Output) -> np.ndarray:
    """Return the labels or numbers of several outputs, of shape (n_rows, n_outputs)."""
    array = dense(answer)
    if array.ndim == 1 and output.width == 1:
        array = array[:, np.newaxis]
    return _of_type(array, [label for one in output.outputs for label in one.classes])


def chances(answer: Any, output: Output) -> np.ndarray:
    """Return probabilities of shape (n_rows, n_classes), float64, those of several outputs side by side.

    A model with two classes, or with several outputs of two classes each, may return only the probability of
    the second class.
    """
    classes = [len(one.classes) for one in output.with_classes]
    if isinstance(answer, list) and output.kind == "several":
        return np.concatenate([floats(one) for one in answer], axis=1)
    array = floats(answer)
    if array.ndim == 2 and array.shape[1] == len(classes) and set(classes) == {2}:
        return np.stack([1.0 - array, array], axis=2).reshape(len(array), -1)
    return array


def floats(answer: Any) -> np.ndarray:
    """Return numbers of shape (n_rows, width), float64."""
    array = np.asarray(dense(answer), dtype=np.float64)
    return array[:, np.newaxis] if array.ndim == 1 else array


#: Kind of output -> the function that reads its answer.
READERS: Mapping[str, Callable[[Any, Output], np.ndarray]] = {
    "number": lambda answer, output: dense(answer),
    "vector": lambda answer, output: dense(answer),
    "class": labels,
    "several": several,
}


def _array(answer: Any) -> np.ndarray:
    if hasattr(answer, "toarray"):  # a sparse matrix
        return np.asarray(answer.toarray())
    if hasattr(answer, "to_pandas") and hasattr(answer, "column_names"):  # a table of pyarrow
        answer = answer.to_pandas()
    if hasattr(answer, "to_pylist"):  # a column of pyarrow
        return array_of(answer.to_pylist())
    if hasattr(answer, "to_numpy"):
        return np.asarray(answer.to_numpy())
    return array_of(answer)


def _natural(array: np.ndarray) -> np.ndarray:
    """Return an array of objects without NumPy's scalars; an array of numbers if it contains nothing else."""
    values = [value.item() if isinstance(value, np.generic) else value for value in array.ravel().tolist()]
    types = set(map(type, values))
    if types and (types <= {int, float} or types == {bool}):
        return np.array(values).reshape(array.shape)
    natural = np.empty(len(values), dtype=object)
    natural[:] = values
    return natural.reshape(array.shape)


def _of_type(array: np.ndarray, classes: Sequence[Any]) -> np.ndarray:
    """Return floats as integers if all classes are integers and nothing is lost."""
    if array.dtype.kind == "f" and classes and all(type(label) is int for label in classes):
        whole = array.astype(np.int64) if np.isfinite(array).all() else array
        return whole if np.array_equal(whole, array) else array
    return array
