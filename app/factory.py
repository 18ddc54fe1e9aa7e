"""How the Flask application is made: settings, services, blueprints, hooks. Nothing is loaded or opened here."""

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
    """An ordinary Flask application over the store that the settings name; raises ConfigError.

    Models are loaded from the first request on, or when ``services.start`` is called, whichever comes first.
    ``context`` : the context of an application that this one replaces; ``pause`` : called now and then while it is built;
    ``flask_class`` : the class of the application, by default the one for the installed version of Flask.
    """
    services = services or wire(settings or load_settings())
    settings = services.settings
    flask_class = flask_class or choose_class()
    app = new_application(flask_class, "app", static_folder=None, template_folder="api/templates")
    app.url_map = ExactMap(
        redirect_defaults=False, merge_slashes=False, converters={"number": NumberConverter}
    )
    app.config.update(
        # Werkzeug cuts a chunked body at its limit without a word; one byte more tells a whole body from a cut one.
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
    fixed = [health.blueprint, index.blueprint, catalog.blueprint, routed_blueprint()]
    guarded = [admin.blueprint] if context_of(app).admin_tokens else []
    for blueprint in (*fixed, *guarded, *version_blueprints(services.engine.snapshot)):
        pause()
        app.register_blueprint(blueprint)
    pause()
    init_docs(app)
    app.cli = Commands(app.name)
    # Else the first request would pay for it.
    app.url_map.update()
    if settings.proxy_hops:
        hops = settings.proxy_hops
        app.wsgi_app = ProxyFix(app.wsgi_app, hops, hops, hops, hops, hops)  # type: ignore[method-assign]
    return app


def _admin_tokens(settings: Settings) -> tuple[bytes, ...]:
    """Checked when the server starts; a file that was spoiled since must not keep a worker from replacing another."""
    try:
        return read_admin_tokens(settings)
    except ConfigError as error:
        log.error("there is no /admin: %s", error)
        return ()
