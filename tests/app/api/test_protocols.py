"""Which protocol writes an error, and that observers hear of every outcome."""

from __future__ import annotations

import pytest

from app.api.protocols.choice import protocol_of_path
from app.api.protocols.native import NATIVE
from app.api.protocols.protocol import Protocol


class Dialect(Protocol):
    def __init__(self, *prefixes: str) -> None:
        self.prefixes = prefixes


OPEN, HEALTH, OLD = Dialect("/v2", "/v2/models"), Dialect("/v2/health"), Dialect("/v1/models")


@pytest.mark.parametrize(
    ("path", "protocol"),
    [
        ("/", NATIVE),
        ("/models/iris/predict", NATIVE),
        ("/v2", OPEN),
        ("/v2/anything", OPEN),
        ("/v2/health/live", HEALTH),
        ("/v2/models/iris/infer", OPEN),
        ("/v1/models/iris:predict", OLD),
        ("/v1/other", NATIVE),
        ("/v2/predict", NATIVE),
        ("/v12/predict/batch", NATIVE),
        ("/v2x/models", NATIVE),
        ("/v\u0662/predict", NATIVE),
        ("//v2/models", NATIVE),
    ],
)
def test_the_longest_matching_prefix_decides_and_numbered_routes_stay_native(
    path: str, protocol: Protocol
) -> None:
    assert protocol_of_path(path, (NATIVE, OPEN, HEALTH, OLD)) is protocol
