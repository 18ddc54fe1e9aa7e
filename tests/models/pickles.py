"""Pickles in the form of other versions of scikit-learn, made without those versions."""

from __future__ import annotations

import pickle
from typing import Any

import sklearn

OLD = "1.5.2"


def older(model: Any) -> bytes:
    """Return a pickle of the model in which every estimator names another version of scikit-learn."""
    data = pickle.dumps(model, protocol=2)
    here, old = (b"X" + len(v).to_bytes(4, "little") + v.encode() for v in (sklearn.__version__, OLD))
    assert here in data
    return data.replace(here, old)


def renamed(data: bytes, module: str, name: str, *, old_module: str, old_name: str) -> bytes:
    """Return the pickle, of protocol 2, with a class or function under an earlier name."""
    now, then = f"c{module}\n{name}\n".encode(), f"c{old_module}\n{old_name}\n".encode()
    assert now in data
    return data.replace(now, then)
