"""The protocol of an error that is raised before any view: the one with the longest matching route prefix."""

from __future__ import annotations

from collections.abc import Sequence

from app.api.protocols.native import NATIVE
from app.api.protocols.protocol import Protocol

PROTOCOLS: Sequence[Protocol] = (NATIVE,)


def protocol_of_path(path: str, protocols: Sequence[Protocol] = PROTOCOLS) -> Protocol:
    """Return the protocol of a path; the native one if no other protocol has a matching prefix."""
    segments = path.split("/")
    longest, chosen = -1, protocols[0]
    for protocol in protocols:
        for prefix in protocol.prefixes:
            pattern = prefix.split("/")
            if longest < len(pattern) <= len(segments) and all(map(_fits, pattern, segments)):
                longest, chosen = len(pattern), protocol
    return chosen


def _fits(pattern: str, segment: str) -> bool:
    """Return whether a segment of a path matches one of a prefix, where a final "<n>" stands for digits."""
    if not pattern.endswith("<n>"):
        return pattern == segment
    start = pattern.removesuffix("<n>")
    return segment.startswith(start) and segment[len(start) :].isdecimal()
