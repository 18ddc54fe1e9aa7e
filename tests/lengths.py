"""Decorators of tests with generated examples: a few in the suite, many in `make stress`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings


def in_two_lengths(short: int, long: int) -> pytest.MarkDecorator:
    """Give the test its argument ``examples``: ``short`` in the suite, ``long`` where the stress tests run."""
    return pytest.mark.parametrize("examples", [short, pytest.param(long, marks=pytest.mark.stress)])


def try_examples(number: int, check: Callable[..., None], *strategies: Any, **by_name: Any) -> None:
    """Call ``check`` with ``number`` examples of the strategies, the same ones in every run."""
    tried = settings(max_examples=number, suppress_health_check=list(HealthCheck))
    tried(given(*strategies, **by_name)(check))()
