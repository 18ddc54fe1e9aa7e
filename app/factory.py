"""How the Flask application is made: settings, services, blueprints, hooks. Nothing is loaded or opened here."""

from __future__ import annotations

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from app.api import catalog, health, index
from app.api.context import KEY, Context
from app.api.docs import init_docs
from app.api.errors import init_errors
from app.api.hooks import init_hooks
from app.api.lean_flask import LeanFlask
from app.api.predict import NumberConverter, routed_blueprint, version_blueprints
from app.cli.commands import COMMANDS
from app.config import Settings, load_settings
from app.wiring import Services, wire


def create_app(settings: Settings | None = None, services: Services | None = None) -> Flask:
    """An ordinary Flask application over the store that the settings name; raises ConfigError.

    Models are loaded from the first request on, or when ``services.start`` is called, whichever comes first.
    """
    services = services or wire(settings or load_settings())
    settings = services.settings
    app = LeanFlask("app", static_folder=None, template_folder="api/templates")
    app.url_map.redirect_defaults = False
    app.url_map.merge_slashes = False
    app.url_map.converters["number"] = NumberConverter
    app.config.update(
        # Werkzeug cuts a chunked body at its limit without a word; one byte more tells a whole body from a cut one.
        MAX_CONTENT_LENGTH=settings.max_body_bytes + 1,
        MAX_FORM_MEMORY_SIZE=0,
        MAX_FORM_PARTS=0,
    )
    app.extensions[KEY] = Context(
        settings, services.engine, services.metrics, services.access_log, services.start
    )
    init_errors(app)
    init_hooks(app)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(index.blueprint)
    app.register_blueprint(catalog.blueprint)
    app.register_blueprint(routed_blueprint())
    for blueprint in version_blueprints(services.engine.catalog):
        app.register_blueprint(blueprint)
    if settings.docs:
        init_docs(app)
    for command in COMMANDS:
        app.cli.add_command(command)
    if settings.proxy_hops:
        hops = settings.proxy_hops
        app.wsgi_app = ProxyFix(app.wsgi_app, hops, hops, hops, hops, hops)  # type: ignore[method-assign]
    return app
