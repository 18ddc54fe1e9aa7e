"""Answering rows: messages, batches, lanes and one loaded model.

Stores, files and the choice of a version stay outside.
"""
