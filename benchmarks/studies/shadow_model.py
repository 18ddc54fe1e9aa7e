"""A model that answers the rows it is published with, and fails or stalls on the row of the load."""

from __future__ import annotations

import time

import numpy as np

from models.signature import Signature

COLUMNS = 8
#: Every value of the load's row.
LOAD_VALUE = 0.5
STALL_SECONDS = 0.5


class ShadowModel:
    """``kind`` is a key of ``KINDS``; ``signature`` that of the version whose rows it is asked."""

    def __init__(self, kind: str, signature: Signature) -> None:
        self.kind = kind
        self.signature = signature

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """The first column."""
        if (rows == LOAD_VALUE).all():
            KINDS[self.kind]()
        return rows[:, 0]


def _raise() -> None:
    raise ValueError("as it is meant to")


def _sleep() -> None:
    time.sleep(STALL_SECONDS)


def _compute() -> None:
    until = time.perf_counter() + STALL_SECONDS
    while time.perf_counter() < until:
        pass


KINDS = {
    "answers": lambda: None,
    "raises": _raise,
    f"sleeps for {STALL_SECONDS:g} s": _sleep,
    f"computes for {STALL_SECONDS:g} s": _compute,
}
