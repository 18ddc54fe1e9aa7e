"""Signatures for tests, and functions that return the values or the faults of a body."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.errors import Fault, InputError
from models.signature import Column, Output, Signature
from schemas.matrix import Rows
from schemas.predict import PredictSchemas

MAX_ROWS = 1000


def signature(*columns: Column, parameters: tuple[Column, ...] = (), named: bool = True) -> Signature:
    """Return a signature with one number for each row."""
    return Signature(columns, Output("number"), parameters, named=named)


def schemas(*columns: Column, parameters: tuple[Column, ...] = (), named: bool = True) -> PredictSchemas:
    """Return the schemas of such a signature."""
    return PredictSchemas(signature(*columns, parameters=parameters, named=named), max_rows=MAX_ROWS)


def rows(*columns: Column, named: bool = True) -> Rows:
    """Return the reader of rows of such a signature."""
    return Rows(signature(*columns, named=named))


def matrix(reader: Rows, given: list[Any]) -> np.ndarray:
    """Return the matrix of rows, which must not have faults."""
    found, faults = reader.read(given)
    assert faults == []
    assert found is not None
    return found


def faults(reader: Rows, given: list[Any]) -> list[Fault]:
    """Return the faults of rows, of which there must be some."""
    found, wrong = reader.read(given)
    assert found is None
    assert wrong
    return wrong


def refused(read: Any, body: Any) -> list[Fault]:
    """Return the faults of a body, of which there must be some."""
    with pytest.raises(InputError) as error:
        read(body)
    assert error.value.faults
    return list(error.value.faults)


def places(found: list[Fault]) -> list[tuple[Any, ...]]:
    """Return the locations of faults."""
    return [fault.loc for fault in found]
