"""The two names by which the project is run: ``app`` for gunicorn, ``create_app`` for the ``flask`` command."""

from __future__ import annotations

import os
import sys

from models.threads import ONE_THREAD

for _name, _value in ONE_THREAD.items():
    os.environ.setdefault(_name, _value)

from flask import Flask  # noqa: E402

from app import factory  # noqa: E402
from app.config import ConfigError  # noqa: E402
from app.config.under_gunicorn import why_not  # noqa: E402
from app.switch import Switch  # noqa: E402

#: With any other status gunicorn would try another worker for ever.
APP_LOAD_ERROR = 4

try:
    _why_not = why_not()
except ConfigError as _error:
    _why_not = str(_error)
if _why_not:
    print(f"plumbline: {_why_not}", file=sys.stderr, flush=True)
    raise SystemExit(APP_LOAD_ERROR)

app = Switch()


def create_app() -> Flask:
    """The Flask application; a wrong setting ends the process with one line."""
    try:
        return factory.create_app()
    except ConfigError as error:
        raise SystemExit(f"plumbline: {error}") from error
