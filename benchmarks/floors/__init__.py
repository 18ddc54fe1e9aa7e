"""Endpoints that answer without any model, beside the bare callables in ``peers/floor``."""
