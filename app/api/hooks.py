"""The hooks of every request: they give it an id and security headers, and notify observers."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable

from flask import Flask, Response
from werkzeug.exceptions import SecurityError
from werkzeug.sansio.utils import host_is_trusted

from app.api.context import this_context
from app.api.json_provider import JsonReply
from app.api.request import this_request
from app.inference.messages import Reply, new_id
from schemas.headers import REQUEST_ID, in_environ

REQUEST_ID_KEY = in_environ(REQUEST_ID)

#: A client's own request id is echoed if it matches: it is then harmless in a log and in a header.
HARMLESS_ID = re.compile(r"[A-Za-z0-9._~+/=-]{1,128}")

#: From the REST security cheat sheet of OWASP; a page may set its own Content-Security-Policy.
SECURITY_PAIRS = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
)

#: Endpoints that probes and scrapers call by address, so their Host is not checked.
PROBES = {"health.health", "health.ready", "health.metrics"}


def init_hooks(app: Flask) -> None:
    """Register the hooks on the application."""
    app.before_request(begin)
    app.after_request(end)
    app.teardown_request(leave)


def begin() -> None:
    """Give the request its id, start the services at the first request, and notify observers of the arrival.

    Raises SecurityError for a host that the settings do not trust.
    """
    request = this_request()
    request.began = time.perf_counter()
    request.context = context = this_context()
    given = request.environ.get(REQUEST_ID_KEY)
    request.request_id = given if given is not None and HARMLESS_ID.fullmatch(given) else new_id()
    if not context.is_started:
        context.start()
        context.is_started = True
    for hear in context.on_arrival:
        hear()
    request.counted = True
    hosts = context.settings.trusted_hosts
    if hosts and request.endpoint not in PROBES and not _trusted(request.host, hosts):
        raise SecurityError(f"this server does not answer for the host {request.host[:100]!r}")


def _trusted(host: str, hosts: Iterable[str]) -> bool:
    """Compare without case (RFC 9110, section 4.2.3), which Werkzeug does not."""
    return host_is_trusted(host.lower(), [name.lower() for name in hosts])


def end(response: Response) -> Response:
    """Add the security headers and the request id to the reply, and notify observers."""
    request = this_request()
    size: int | None
    if type(response) is JsonReply and response.is_plain:
        response.pairs += SECURITY_PAIRS
        response.pairs.append((REQUEST_ID, request.request_id))
        size, status = len(response.response[0]), response.code
    else:
        for name, value in SECURITY_PAIRS:
            response.headers.setdefault(name, value)
        response.headers[REQUEST_ID] = request.request_id
        size, status = response.content_length, response.status_code
    ask = request.ask
    reply = Reply(
        time.time_ns(),
        time.perf_counter() - request.began,
        request.request_id,
        request.method,
        request.path,
        status,
        None if ask is None else ask.route,
        request.timing,
        size,
    )
    for hear in request.context.on_reply:
        hear(reply)
    return response


def leave(error: BaseException | None) -> None:
    """Notify observers that the request left, also after what no error handler sees (a killed greenlet)."""
    request = this_request()
    # It holds the request too: rows and body would stay in memory until a garbage collection.
    request.ask = None
    if request.counted:
        for hear in request.context.on_leave:
            hear()
