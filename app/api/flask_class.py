"""Which class the application has: LeanFlask with tested versions of Flask and Werkzeug, else Flask's own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any, cast

from flask import Flask, current_app

from app.api.json_provider import OrjsonProvider
from app.api.request import NoSession, PlainRequest

#: The versions with which all of tests/app/api passes on the fast path. Add one after such a run.
TESTED: Mapping[str, Collection[str]] = {
    "flask": ("3.1.3",),
    "werkzeug": ("3.1.9",),
}

_KEY = "plumbline.flask"


@dataclass(frozen=True, slots=True)
class FlaskClass:
    """The class of the application, and why it was chosen."""

    kind: type[Flask]
    #: The installed version of each library in ``TESTED``.
    versions: Mapping[str, str]
    #: Why the fast path is not taken; empty where it is.
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """The member ``flask`` of ``GET /version``."""
        about: dict[str, Any] = {"version": self.versions["flask"], "werkzeug": self.versions["werkzeug"]}
        return {**about, "fast_path": not self.reason, **({"reason": self.reason} if self.reason else {})}


def choose_class(
    tested: Mapping[str, Collection[str]] = TESTED, versions: Mapping[str, str] | None = None
) -> FlaskClass:
    """Choose the fast path if all versions are tested; ``versions`` are by default the installed ones."""
    versions = versions or _installed()
    untested = [
        f"{library.capitalize()} {versions[library]}"
        for library, numbers in tested.items()
        if versions[library] not in numbers
    ]
    if untested:
        return FlaskClass(Flask, versions, f"the fast path was not tested with {' and '.join(untested)}")
    # The module imports private names of Flask, which another version may not have.
    from app.api.lean_flask import LeanFlask

    return FlaskClass(LeanFlask, versions)


def new_application(chosen: FlaskClass, name: str, **options: Any) -> Flask:
    """Build an application of the class with this project's requests and JSON, and without sessions."""
    app = chosen.kind(name, **options)
    app.request_class = PlainRequest
    app.session_interface = NoSession()
    app.json = OrjsonProvider(app)
    app.extensions[_KEY] = chosen
    return app


def class_of(app: Flask = current_app) -> FlaskClass:
    """The choice made for an application, by default the current one."""
    return cast(FlaskClass, app.extensions[_KEY])


@cache
def _installed() -> Mapping[str, str]:
    """The installed versions, read once: a worker builds a new application when its routes change."""
    return {library: version(library) for library in TESTED}
