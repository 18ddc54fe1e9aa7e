"""Pages of which other origins may call this server from a browser (CORS); none, unless the settings say so.

Nothing identifies a client by itself here, so no credentials are allowed; /admin is for no page.
"""

from __future__ import annotations

import re

from flask import Flask

from app.api.context import context_of
from schemas.headers import OF_A_PREDICTION, RETRY_AFTER

EVERYBODY = "*"
PATHS = re.compile(r"/(?!admin(?:/|$))")
METHODS = ("GET", "HEAD", "POST", "OPTIONS")

#: The headers of a reply that a page can read besides Content-Type and Content-Length.
SHOWN = (
    "Accept-Encoding",
    RETRY_AFTER,
    *OF_A_PREDICTION,
)
#: How long a browser may remember that it may ask.
MAX_AGE_SECONDS = 600


def init_cors(app: Flask) -> None:
    """Add the hook to an application whose settings name origins; to any other nothing at all."""
    origins = context_of(app).settings.cors_origins
    if not origins:
        return
    from flask_cors import CORS  # for this alone

    CORS(
        app,
        resources=PATHS,
        # As patterns, because it takes text with brackets, such as an IPv6 address, for one.
        origins=EVERYBODY if EVERYBODY in origins else [_exactly(origin) for origin in origins],
        send_wildcard=True,
        always_send=False,
        methods=METHODS,
        expose_headers=SHOWN,
        max_age=MAX_AGE_SECONDS,
        # Errors are replies like others: the hook sees them too.
        intercept_exceptions=False,
    )


def _exactly(origin: str) -> re.Pattern[str]:
    return re.compile(re.escape(origin) + r"\Z", re.IGNORECASE)
