"""The hooks of every request, which set its id and security headers and notify observers."""

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

#: The request ids of clients that are accepted: those that are harmless in a log and in a header.
HARMLESS_ID = re.compile(r"[A-Za-z0-9._~+/=-]{1,128}")

#: The security headers of every reply, which follow OWASP's REST security cheat sheet. A page may set its
#: own Content-Security-Policy.
SECURITY_PAIRS = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
)

#: Endpoints that probes and scrapers call by IP address, so that their Host header is not checked.
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
    request.started_at = time.perf_counter()
    request.context = context = this_context()
    client_id = request.environ.get(REQUEST_ID_KEY)
    if client_id is None or not HARMLESS_ID.fullmatch(client_id):
        client_id = new_id()
    request.request_id = client_id
    if not context.is_started:
        context.start()
        context.is_started = True
    for notify in context.on_arrival:
        notify()
    request.counted = True
    hosts = context.settings.trusted_hosts
    if hosts and request.endpoint not in PROBES and not _trusted(request.host, hosts):
        raise SecurityError(f"this server does not answer for the host {request.host[:100]!r}")


def _trusted(host: str, hosts: Iterable[str]) -> bool:
    """Return whether a host is trusted. Case is ignored (RFC 9110, section 4.2.3), unlike in Werkzeug."""
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
        time.perf_counter() - request.started_at,
        request.request_id,
        request.method,
        request.path,
        status,
        None if ask is None else ask.route,
        request.timing,
        size,
    )
    for notify in request.context.on_reply:
        notify(reply)
    return response


def leave(error: BaseException | None) -> None:
    """Notify observers that the request ended, even if no error handler ran (a killed greenlet)."""
    request = this_request()
    # The two refer to each other, so the rows and the body would stay in memory until a garbage collection.
    request.ask = None
    if request.counted:
        for notify in request.context.on_leave:
            notify()
