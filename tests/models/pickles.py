"""Pickles as other versions of scikit-learn wrote them, without those versions."""

from __future__ import annotations

import pickle
from typing import Any

import sklearn

OLD = "1.5.2"


def older(model: Any) -> bytes:
    """A pickle of the model by another version of scikit-learn: every estimator in it says so."""
    data = pickle.dumps(model, protocol=2)
    here, old = (b"X" + len(v).to_bytes(4, "little") + v.encode() for v in (sklearn.__version__, OLD))
    assert here in data
    return data.replace(here, old)


def renamed(data: bytes, module: str, name: str, *, old_module: str, old_name: str) -> bytes:
    """The pickle, of protocol 2, with another name for a class or function: as it was called when it was written."""
    now, then = f"c{module}\n{name}\n".encode(), f"c{old_module}\n{old_name}\n".encode()
    assert now in data
    return data.replace(now, then)
