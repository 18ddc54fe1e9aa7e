"""Computes for SECONDS when it is imported, as packages with large tables do."""

import time

from tests.harmful import SLOW_SECONDS, linear_model

until = time.monotonic() + SLOW_SECONDS
while time.monotonic() < until:
    pass

model = linear_model
