"""The status of each error, and the one function that writes error replies (RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from app.api.protocols.choice import protocol_of_path
from app.api.protocols.protocol import HttpAsk, Problem
from app.api.request import this_request
from models.errors import (
    Conflict,
    DeadlinePassed,
    Fault,
    InputError,
    InvalidName,
    InvalidRule,
    LoadError,
    NotFound,
    NotReady,
    Overloaded,
    PredictError,
    StoreUnavailable,
)
from schemas.headers import RETRY_AFTER
from schemas.json_body import MalformedBody

log = logging.getLogger("plumbline.api")

#: Exception class -> status. The first class in an exception's MRO that has a row decides.
STATUS: dict[type[BaseException], int] = {
    MalformedBody: 400,
    NotFound: 404,
    InvalidName: 404,
    Conflict: 409,
    InvalidRule: 422,
    InputError: 422,
    PredictError: 500,
    LoadError: 503,
    NotReady: 503,
    Overloaded: 503,
    DeadlinePassed: 504,
    StoreUnavailable: 503,
}

#: The detail of a reply whose real cause is only logged, because it is not the client's concern.
HIDDEN = {500: "the server could not answer this request; its log has the details under the request id"}

RETRY_AFTER_SECONDS = "5"


def init_errors(app: Flask) -> None:
    """Register the handler that answers every exception with a problem."""
    app.register_error_handler(Exception, handle)


def handle(error: Exception) -> Response | HTTPException:
    """Return the reply for an exception that a view or Flask's routing raised."""
    if isinstance(error, HTTPException):
        return _of_http(error)
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    if status == 500:
        log.error(
            "request %s failed: %s",
            this_request().request_id,
            error,
            exc_info=not isinstance(error, PredictError),
        )
    faults: Sequence[Fault] = error.faults if isinstance(error, InputError) else ()
    if isinstance(error, InvalidRule):
        faults = [Fault(("rule",), str(error))]
    members = {"available": list(error.available)} if isinstance(error, NotFound) else {}
    detail = HIDDEN.get(status) or _detail(error)
    reply = problem_reply(status, detail, faults, **members)
    if status == 503:
        reply.headers[RETRY_AFTER] = RETRY_AFTER_SECONDS
    return reply


def problem_reply(status: int, detail: str, faults: Iterable[Fault] = (), **members: Any) -> Response:
    """Return an error reply, written by the protocol of the request.

    ``members`` are further members of a native body.
    """
    request = this_request()
    ask = request.ask
    protocol = ask.protocol if isinstance(ask, HttpAsk) else protocol_of_path(request.path)
    return protocol.problem(Problem(status, detail, tuple(faults), members), request.request_id)


def _of_http(error: HTTPException) -> Response | HTTPException:
    if error.code is None or error.code < 400:
        return error  # a redirect, or a reply that is complete
    template = _HTTP_DETAILS.get(error.code)
    detail = template.format(prefix=this_request().prefix) if template else error.description or ""
    if isinstance(error, MethodNotAllowed):
        allowed = sorted(set(error.valid_methods or ()) - {"HEAD", "OPTIONS"})
        detail = f"{request.method[:16]} is not allowed on this route; use {' or '.join(allowed)}"
    reply = problem_reply(error.code, detail)
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            reply.headers[name] = value
    return reply


def _detail(error: Exception) -> str:
    if isinstance(error, InputError):
        n = len(error.faults)
        return f"the input has {n} fault{'s' if n != 1 else ''}; see errors"
    return str(error)


_HTTP_DETAILS = {
    404: "no such route; GET {prefix}/ lists the available routes",
    413: "the body is larger than this server accepts; send fewer rows at once",
}
