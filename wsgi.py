"""The entry points of the project: ``app`` for gunicorn, and ``create_app`` for the ``flask`` command."""

from __future__ import annotations

import os
import sys

from models.threads import ONE_THREAD

for _name, _value in ONE_THREAD.items():
    os.environ.setdefault(_name, _value)

from flask import Flask  # noqa: E402

from app import factory  # noqa: E402
from app.config import ConfigError  # noqa: E402
from app.config.under_gunicorn import refusal  # noqa: E402
from app.switch import Switch  # noqa: E402

#: The exit status of a worker at which gunicorn stops the server. At any other status it would start another
#: worker.
APP_LOAD_ERROR = 4

try:
    _refusal = refusal()
except ConfigError as _error:
    _refusal = str(_error)
if _refusal:
    print(f"plumbline: {_refusal}", file=sys.stderr, flush=True)
    raise SystemExit(APP_LOAD_ERROR)

app = Switch()


def create_app() -> Flask:
    """Return the Flask application. An invalid setting ends the process with one line."""
    try:
        return factory.create_app()
    except ConfigError as error:
        raise SystemExit(f"plumbline: {error}") from error
