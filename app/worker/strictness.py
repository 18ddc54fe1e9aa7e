"""Checks of RFC 9110 and 9112 that gunicorn's parser leaves out.

A proxy in front that reads such a request differently would see another request than this server (request
smuggling).
"""

from __future__ import annotations

from typing import Any

from gunicorn.http.errors import InvalidHeader, UnsupportedTransferCoding

from app.worker.head import HOST

#: The newest HTTP version that the server supports; replies to clients with a newer one state it.
NEWEST = (1, 1)


def check(request: Any) -> None:
    """Validate a request that gunicorn has parsed, and set its version to the one of the reply.

    Raises InvalidHeader for a Host that is missing or malformed, and UnsupportedTransferCoding for every
    coding but ``chunked``.
    """
    hosts = [value for name, value in request.headers if name == "HOST"]
    if not all(map(HOST.fullmatch, hosts)) or (not hosts and request.version >= NEWEST):
        raise InvalidHeader("HOST", req=request)
    for name, value in request.headers:
        if name == "TRANSFER-ENCODING" and value.lower() != "chunked":
            raise UnsupportedTransferCoding(value)
    request.version = min(request.version, NEWEST)
