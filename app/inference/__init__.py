"""Answering rows: batches, lanes, and one loaded model. No store, no files, and no choice of a version come in."""
