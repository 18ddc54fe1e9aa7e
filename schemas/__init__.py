"""The payloads: JSON bodies that become rows and parameters, and the documents of replies and errors.

Nothing in this package knows about HTTP, the store or a loaded model; it imports ``models`` only.
"""
