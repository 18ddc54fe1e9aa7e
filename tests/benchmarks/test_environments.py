"""A peer that does not install is reported with a reason that may be printed anywhere."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.environments import (
    Environment,
    NotInstalled,
    digest_of,
    environment_of,
    is_installed,
    last_reason,
    scrub,
)


def test_the_project_itself_runs_in_the_environment_of_the_benchmark() -> None:
    assert environment_of("") == Environment(Path(sys.executable))
    assert is_installed("")


def test_what_cannot_be_installed_says_why(tmp_path: Path) -> None:
    peer = tmp_path / "peers" / "broken"
    peer.mkdir(parents=True)
    (peer / "requirements.txt").write_text("--no-index\nno-such-library-anywhere==1.0\n", encoding="utf-8")
    steps: list[str] = []
    with pytest.raises(NotInstalled, match=r"No matching distribution .*no-such-library-anywhere==1\.0"):
        environment_of("broken", steps.append, peers=tmp_path / "peers", envs=tmp_path / "envs")
    assert steps == ["installing broken"]


def test_an_environment_is_named_by_what_it_pins(tmp_path: Path) -> None:
    pins = tmp_path / "requirements.txt"
    pins.write_text("a==1\n", encoding="utf-8")
    first = digest_of(pins)
    pins.write_text("a==2\n", encoding="utf-8")
    assert digest_of(pins) != first


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("Looking in indexes: https://user:secret@host.example/simple", "Looking in indexes: .."),
        (
            "HTTPSConnectionPool(host='host.example', port=443): timed out",
            "HTTPSConnectionPool(host=.., port=443): timed out",
        ),
        ('File "/opt/some/where/python3.11/thing.py", line 3', 'File "thing.py", line 3'),
        ("a / b and 3/4 stay", "a / b and 3/4 stay"),
    ],
)
def test_addresses_and_directories_are_taken_out(line: str, shown: str) -> None:
    assert scrub(line) == shown


def test_the_reason_is_the_last_line_that_gives_one() -> None:
    output = (
        "Collecting x\nERROR: Cannot install x==1 and y==2\nERROR: ResolutionImpossible\n[notice] a new pip\n"
    )
    assert last_reason(output) == "ERROR: ResolutionImpossible"
    assert last_reason("one\ntwo\n") == "two"
    assert last_reason("") == "no reason given"
