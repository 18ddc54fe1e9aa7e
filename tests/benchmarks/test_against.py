"""Another commit is served beside this checkout, from files of its own that are gone afterwards."""

from __future__ import annotations

import subprocess

import pytest

from benchmarks.against import checkout, pairs
from benchmarks.environments import ROOT


def head() -> str:
    return subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.usefixtures("wrk")
def test_both_are_served_and_loaded_in_turns() -> None:
    with checkout(head()) as other:
        assert (other / "wsgi.py").is_file()
        measured = pairs(other, "lr", connections=4, count=1, seconds=1, starts=1)
    assert not other.exists()
    assert len(measured) == 1 and min(measured[0]) > 0


def test_a_commit_that_is_none_says_so() -> None:
    with pytest.raises(subprocess.CalledProcessError), checkout("no-such-commit"):
        pass
