"""The commands of ``flask models`` and ``flask predict``."""
