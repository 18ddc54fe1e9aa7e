"""Which protocol writes an error that comes before any view: the one with the longest matching route prefix."""

from __future__ import annotations

from collections.abc import Sequence

from app.api.protocols.native import NATIVE
from app.api.protocols.protocol import Protocol

PROTOCOLS: Sequence[Protocol] = (NATIVE,)


def protocol_of_path(path: str, protocols: Sequence[Protocol] = PROTOCOLS) -> Protocol:
    """The protocol of a path; the native one where no other protocol has a prefix of it."""
    segments = path.split("/")
    best, chosen = -1, protocols[0]
    for protocol in protocols:
        for prefix in protocol.prefixes:
            wanted = prefix.split("/")
            if best < len(wanted) <= len(segments) and all(map(_fits, wanted, segments)):
                best, chosen = len(wanted), protocol
    return chosen


def _fits(wanted: str, segment: str) -> bool:
    """Whether a segment of a path is that of a prefix; "<n>" stands for digits behind what is before it."""
    if not wanted.endswith("<n>"):
        return wanted == segment
    start = wanted.removesuffix("<n>")
    return segment.startswith(start) and segment[len(start) :].isdecimal()
