"""How a process waits: greenlets in a worker, native threads elsewhere.

Models, stores and HTTP stay outside.
"""
