"""Faster forms of an estimator: how they are built, and compared with the original when it is published.

Serving needs nothing of this package.
"""
