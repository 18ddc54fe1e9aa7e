"""Whether gunicorn runs with Plumbline's own configuration, which it looks for in the directory that it is started in."""

from __future__ import annotations

import sys
from pathlib import Path

from app.config.environment import load_settings

CONFIGURATION = Path(__file__).parents[2] / "gunicorn.conf.py"

_was_read = False


def note_that_it_was_read() -> None:
    """In the process that workers are forked from."""
    global _was_read
    _was_read = True


def why_not() -> str:
    """Why a worker must not serve, or nothing; raises ConfigError."""
    if _was_read or "gunicorn.arbiter" not in sys.modules or load_settings().any_gunicorn:
        return ""
    return (
        f"gunicorn has not read {CONFIGURATION}, so none of the settings and limits would hold: start it in "
        f"{CONFIGURATION.parent} (--chdir comes too late) or with --config {CONFIGURATION}; "
        "PLUMBLINE_ANY_GUNICORN=1 serves all the same"
    )
