"""Identifiers of requests and predictions: 128 random bits each, as 32 hexadecimal digits."""

from __future__ import annotations

import os

#: The kernel is asked for this many at a time.
BLOCK = 256

_ready: list[str] = []
# Parent and child must not give the same ones.
os.register_at_fork(after_in_child=_ready.clear)


def new_id() -> str:
    """One that nobody else has."""
    try:
        return _ready.pop()
    except IndexError:
        digits = os.urandom(16 * BLOCK).hex()
        _ready.extend(digits[i : i + 32] for i in range(0, len(digits), 32))
        return os.urandom(16).hex()
