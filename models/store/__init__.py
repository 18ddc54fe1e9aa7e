"""Versions on disk: changed under one lock, read without it. No library of models comes in."""

from models.store.store import Store

__all__ = ["Store"]
