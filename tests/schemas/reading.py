"""Signatures for these tests, and what reading gives: the values, or the faults."""

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
    """A signature that answers one number a row."""
    return Signature(columns, Output("number"), parameters, named=named)


def schemas(*columns: Column, parameters: tuple[Column, ...] = (), named: bool = True) -> PredictSchemas:
    """The schemas of such a signature."""
    return PredictSchemas(signature(*columns, parameters=parameters, named=named), max_rows=MAX_ROWS)


def rows(*columns: Column, named: bool = True) -> Rows:
    """The reader of rows of such a signature."""
    return Rows(signature(*columns, named=named))


def matrix(reader: Rows, given: list[Any]) -> np.ndarray:
    """What was read, which must be without fault."""
    found, faults = reader.read(given)
    assert faults == []
    assert found is not None
    return found


def faults(reader: Rows, given: list[Any]) -> list[Fault]:
    """What is wrong with the rows, which must be something."""
    found, wrong = reader.read(given)
    assert found is None
    assert wrong
    return wrong


def refused(read: Any, body: Any) -> list[Fault]:
    """What is wrong with the body, which must be something."""
    with pytest.raises(InputError) as error:
        read(body)
    assert error.value.faults
    return list(error.value.faults)


def places(found: list[Fault]) -> list[tuple[Any, ...]]:
    """Where the faults are."""
    return [fault.loc for fault in found]
