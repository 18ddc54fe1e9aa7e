"""The check that gunicorn has read Plumbline's configuration, which it looks for in its working directory."""

from __future__ import annotations

import sys
from pathlib import Path

from app.config.environment import load_settings

CONFIGURATION = Path(__file__).parents[2] / "gunicorn.conf.py"

_was_read = False


def note_that_it_was_read() -> None:
    """Record that gunicorn has read the file. Called in the process from which workers are forked."""
    global _was_read
    _was_read = True


def refusal() -> str:
    """Return why this process must not serve, or an empty text. Raises ConfigError."""
    if _was_read or "gunicorn.arbiter" not in sys.modules or load_settings().any_gunicorn:
        return ""
    return (
        f"gunicorn has not read {CONFIGURATION}, so settings and limits would have no effect: start it in "
        f"{CONFIGURATION.parent} (--chdir takes effect too late) or with --config {CONFIGURATION}; "
        "PLUMBLINE_ANY_GUNICORN=1 serves without it"
    )
