"""Which class of application answers: Flask's own, or ours with the fast path through the Flask that it was tested with."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any, cast

from flask import Flask, current_app

from app.api.json_provider import OrjsonProvider
from app.api.request import NoSession, PlainRequest

#: The versions with which all of tests/app/api passes on the fast path. A version is added after such a run.
TESTED: Mapping[str, Collection[str]] = {
    "flask": ("3.1.3",),
    "werkzeug": ("3.1.9",),
}

_KEY = "plumbline.flask"


@dataclass(frozen=True, slots=True)
class FlaskClass:
    """The class of the application, the versions of the libraries, and why it is Flask's own (empty on the fast path)."""

    kind: type[Flask]
    versions: Mapping[str, str]
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """What ``GET /version`` shows of it."""
        about: dict[str, Any] = {"version": self.versions["flask"], "werkzeug": self.versions["werkzeug"]}
        return {**about, "fast_path": not self.reason, **({"reason": self.reason} if self.reason else {})}


def choose_class(
    tested: Mapping[str, Collection[str]] = TESTED, versions: Mapping[str, str] | None = None
) -> FlaskClass:
    """The fast path where every library has a tested version; ``versions`` are those installed unless given."""
    versions = versions or _installed()
    untested = [
        f"{library.capitalize()} {versions[library]}"
        for library, numbers in tested.items()
        if versions[library] not in numbers
    ]
    if untested:
        return FlaskClass(Flask, versions, f"the fast path was not tested with {' and '.join(untested)}")
    # It uses private names of Flask: with another version the import itself may fail.
    from app.api.lean_flask import LeanFlask

    return FlaskClass(LeanFlask, versions)


def new_application(chosen: FlaskClass, name: str, **options: Any) -> Flask:
    """An application with this project's requests and JSON and without sessions, all by documented attributes."""
    app = chosen.kind(name, **options)
    app.request_class = PlainRequest
    app.session_interface = NoSession()
    app.json = OrjsonProvider(app)
    app.extensions[_KEY] = chosen
    return app


def class_of(app: Flask = current_app) -> FlaskClass:
    """What was chosen for this application, by default the one whose request is handled."""
    return cast(FlaskClass, app.extensions[_KEY])


@cache
def _installed() -> Mapping[str, str]:
    """Read once: a worker builds an application again whenever its routes change."""
    return {library: version(library) for library in TESTED}
