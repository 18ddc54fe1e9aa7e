"""What every request gets: an id, security headers, a line in the access log, and its place in the metrics."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Iterable

from flask import Flask, Response, g, request
from werkzeug.exceptions import SecurityError
from werkzeug.sansio.utils import host_is_trusted

from app.api.context import context

access_log = logging.getLogger("plumbline.access")

#: A client's own id is echoed if it is harmless in a log and a header.
REQUEST_ID = re.compile(r"[A-Za-z0-9._~+/=-]{1,128}")

#: After the REST security cheat sheet of OWASP; a page may set its own Content-Security-Policy.
SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}

#: Probes and scrapers come by address, whatever name the service has.
PROBES = {"health.health", "health.ready", "health.metrics"}


def init_hooks(app: Flask) -> None:
    """Hang the hooks on the application."""
    app.before_request(_begin)
    app.after_request(_end)
    app.teardown_request(_leave)


def _begin() -> None:
    g.began = time.perf_counter()
    g.target = None
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
    here = context()
    here.start()
    here.metrics.request_started()
    hosts = here.settings.trusted_hosts
    if hosts and request.endpoint not in PROBES and not _trusted(request.host, hosts):
        raise SecurityError(f"this server does not answer for the host {request.host[:100]!r}")


def _trusted(host: str, hosts: Iterable[str]) -> bool:
    """Host names have no case (RFC 9110, section 4.2.3); werkzeug compares them as they stand."""
    return host_is_trusted(host.lower(), [name.lower() for name in hosts])


def _end(response: Response) -> Response:
    headers = response.headers
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)
    headers["X-Request-Id"] = g.request_id
    seconds = time.perf_counter() - g.began
    here = context()
    here.metrics.request_finished(g.target, response.status_code, seconds)
    if here.settings.access_log:
        target = g.target
        access_log.info(
            "request",
            extra={
                "request_id": g.request_id,
                "method": request.method[:16],
                "path": request.path[:256],
                "status": response.status_code,
                "model": target.name if target else None,
                "version": str(target.version) if target else None,
                "duration_ms": round(seconds * 1000, 3),
                "timing_ms": g.get("timing_ms"),
                "bytes": response.content_length,
            },
        )
    return response


def _leave(error: BaseException | None) -> None:
    """Also after what no error handler sees, such as a model that ends its greenlet."""
    if "began" in g:
        context().metrics.request_left()
