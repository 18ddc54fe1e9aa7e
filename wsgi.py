"""The two names by which the project is run: ``app`` for gunicorn, ``create_app`` for the ``flask`` command."""

from __future__ import annotations

import os

from models.threads import ONE_THREAD

for _name, _value in ONE_THREAD.items():
    os.environ.setdefault(_name, _value)

from flask import Flask  # noqa: E402

from app import factory  # noqa: E402
from app.config import ConfigError  # noqa: E402
from app.switch import Switch  # noqa: E402

app = Switch()


def create_app() -> Flask:
    """The Flask application; a wrong setting ends the process with one line."""
    try:
        return factory.create_app()
    except ConfigError as error:
        raise SystemExit(f"plumbline: {error}") from error
