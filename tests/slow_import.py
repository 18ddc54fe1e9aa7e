"""A module whose import computes for SECONDS, as that of packages with large tables does."""

import time

from tests.harmful import SLOW_SECONDS, linear_model

until = time.monotonic() + SLOW_SECONDS
while time.monotonic() < until:
    pass

model = linear_model
