"""Observers of serving: metrics and the access log."""
