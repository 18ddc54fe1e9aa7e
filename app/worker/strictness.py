"""What gunicorn's parser lets pass and RFC 9110 and 9112 do not: who reads it otherwise sees another request."""

from __future__ import annotations

from typing import Any

from gunicorn.http.errors import InvalidHeader, UnsupportedTransferCoding

from app.worker.head import HOST

#: The newest version that is spoken here: a reply says it, also to a client that knows a newer one.
NEWEST = (1, 1)


def check(request: Any) -> None:
    """Raise InvalidHeader for a Host that is missing or malformed, UnsupportedTransferCoding for a coding but ``chunked``.

    request : as gunicorn has read it. Its version becomes the one to answer with.
    """
    hosts = [value for name, value in request.headers if name == "HOST"]
    if not all(map(HOST.fullmatch, hosts)) or (not hosts and request.version >= NEWEST):
        raise InvalidHeader("HOST", req=request)
    for name, value in request.headers:
        if name == "TRANSFER-ENCODING" and value.lower() != "chunked":
            raise UnsupportedTransferCoding(value)
    request.version = min(request.version, NEWEST)
