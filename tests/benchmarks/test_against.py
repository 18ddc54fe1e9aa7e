"""Another commit is served beside this checkout, from files of its own that are gone afterwards."""

from __future__ import annotations

import subprocess

import pytest

from benchmarks.against import Load, checkout, interval, pairs
from benchmarks.environments import ROOT


def head() -> str:
    return subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.usefixtures("wrk")
def test_both_are_served_and_loaded_in_turns() -> None:
    with checkout(head()) as other:
        assert (other / "wsgi.py").is_file()
        measured = pairs(other, "lr", [Load(1, 4), Load(16, 2)], count=1, seconds=1, starts=1)
    assert not other.exists()
    assert [str(load) for load in measured] == ["1 x 4", "16 x 2"]
    assert all(len(rates) == 1 and min(rates[0]) > 0 for rates in measured.values())


def test_a_commit_that_is_none_says_so() -> None:
    with pytest.raises(subprocess.CalledProcessError), checkout("no-such-commit"):
        pass


def test_the_interval_holds_the_median_of_as_many_values_as_it_needs() -> None:
    """Of 20 values it is the 6th and the 15th: 21,700 of 2**20 outcomes have fewer than six below the median."""
    assert interval([float(value) for value in range(1, 21)]) == (6.0, 15.0)
    assert interval([3.0, 1.0, 2.0]) == (1.0, 3.0)
