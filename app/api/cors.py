"""Cross-origin requests of web pages (CORS), which are refused unless the settings name origins.

Credentials are not allowed, since no route reads cookies. /admin is never available to other origins.
"""

from __future__ import annotations

import re

from flask import Flask

from app.api.context import context_of
from schemas.headers import OF_A_PREDICTION, RETRY_AFTER

ANY_ORIGIN = "*"
PATHS = re.compile(r"/(?!admin(?:/|$))")
METHODS = ("GET", "HEAD", "POST", "OPTIONS")

#: The headers of a reply that a page can read, in addition to Content-Type and Content-Length.
EXPOSED = (
    "Accept-Encoding",
    RETRY_AFTER,
    *OF_A_PREDICTION,
)
#: How long a browser may cache the reply to a preflight request.
MAX_AGE_SECONDS = 600


def init_cors(app: Flask) -> None:
    """Add the CORS hook to an application whose settings name origins."""
    origins = context_of(app).settings.cors_origins
    if not origins:
        return
    from flask_cors import CORS  # imported only where it is used

    CORS(
        app,
        resources=PATHS,
        # Patterns: flask-cors takes a text with brackets, such as an IPv6 address, for a pattern.
        origins=ANY_ORIGIN if ANY_ORIGIN in origins else [_exactly(origin) for origin in origins],
        send_wildcard=True,
        always_send=False,
        methods=METHODS,
        expose_headers=EXPOSED,
        max_age=MAX_AGE_SECONDS,
        # The hook sees error replies anyway.
        intercept_exceptions=False,
    )


def _exactly(origin: str) -> re.Pattern[str]:
    return re.compile(re.escape(origin) + r"\Z", re.IGNORECASE)
