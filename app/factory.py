"""The factory of the Flask application, which combines services, blueprints and hooks.

It loads no models and opens no files or sockets.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from app.api import admin, catalog, health, index
from app.api.context import KEY, Context, context_of
from app.api.cors import init_cors
from app.api.docs import init_docs
from app.api.errors import init_errors
from app.api.flask_class import FlaskClass, choose_class, new_application
from app.api.hooks import init_hooks
from app.api.predict import NumberConverter, routed_blueprint, version_blueprints
from app.api.request import ExactMap
from app.cli.group import Commands
from app.config import ConfigError, Settings, load_settings
from app.credentials import read_admin_tokens
from app.wiring import Services, wire

log = logging.getLogger("plumbline")


def create_app(
    settings: Settings | None = None,
    services: Services | None = None,
    context: Context | None = None,
    pause: Callable[[], None] = lambda: None,
    flask_class: FlaskClass | None = None,
) -> Flask:
    """Build a Flask application over the store that the settings name. Raises ConfigError.

    Models are loaded at the first request, or earlier by ``services.start``. ``context`` is that of an
    application which the new one replaces. ``pause`` is called between steps. ``flask_class`` is the class of
    the application, by default the one for the installed version of Flask.
    """
    services = services or wire(settings or load_settings())
    settings = services.settings
    flask_class = flask_class or choose_class()
    app = new_application(flask_class, "app", static_folder=None, template_folder="api/templates")
    app.url_map = ExactMap(
        redirect_defaults=False, merge_slashes=False, converters={"number": NumberConverter}
    )
    app.config.update(
        # Werkzeug truncates a chunked body at its limit. The additional byte shows that a body was truncated.
        MAX_CONTENT_LENGTH=settings.max_body_bytes + 1,
        MAX_FORM_MEMORY_SIZE=0,
        MAX_FORM_PARTS=0,
    )
    app.extensions[KEY] = context or Context(
        settings,
        services.engine,
        services.metrics,
        services.observers,
        services.start,
        operations=services.operations,
        admin_tokens=_admin_tokens(settings),
    )
    init_errors(app)
    init_hooks(app)
    init_cors(app)
    public = [health.blueprint, index.blueprint, catalog.blueprint, routed_blueprint()]
    protected = [admin.blueprint] if context_of(app).admin_tokens else []
    for blueprint in (*public, *protected, *version_blueprints(services.engine.snapshot)):
        pause()
        app.register_blueprint(blueprint)
    pause()
    init_docs(app)
    app.cli = Commands(app.name)
    # Sort the rules now, or the first request would have to.
    app.url_map.update()
    if settings.proxy_hops:
        hops = settings.proxy_hops
        app.wsgi_app = ProxyFix(app.wsgi_app, hops, hops, hops, hops, hops)  # type: ignore[method-assign]
    return app


def _admin_tokens(settings: Settings) -> tuple[bytes, ...]:
    """Return the tokens of administrators, or none if their file has become invalid.

    The start of the server validates them. A file that breaks later must not stop a replacement worker.
    """
    try:
        return read_admin_tokens(settings)
    except ConfigError as error:
        log.error("/admin is not available: %s", error)
        return ()
