"""The versions on disk: changed under one lock, read without it.

No library of models comes in, so a command that only lists or moves versions starts fast.
"""

from models.store.store import Store

__all__ = ["Store"]
