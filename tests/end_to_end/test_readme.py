"""Tests that the commands of README.md run and print the output that it shows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.store import Store
from tests.conftest import LONG_SECONDS
from tests.end_to_end.server import ROOT, Server

README = (ROOT / "README.md").read_text()


def steps() -> list[tuple[str, str]]:
    """Return (command, expected output) of every console block, in order, including here-documents."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", README, re.S):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            lines = part.splitlines()
            end = lines.index("END") + 1 if "<<'END'" in lines[0] else 1
            found.append(("\n".join(lines[:end]), "\n".join(lines[end:]).strip()))
    return found


def steady(text: str) -> str:
    """The text without what differs: ids every time, and the last digits of a float between processors.

    NumPy's linear algebra takes another path on another processor; 9 digits are "the same answer" everywhere.
    """
    text = re.sub(r"[0-9a-f]{32}", "<id>", text).strip()
    return re.sub(r"-?\d+\.\d+(e-?\d+)?", lambda number: f"{float(number[0]):.9g}", text)


@pytest.fixture(scope="module")
def checkout(demo_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Server]]:
    """A served copy of the project, with the demo models in its own store."""
    copy = tmp_path_factory.mktemp("checkout") / "plumbline"
    ignored = shutil.ignore_patterns(
        ".git", ".venv", "artifacts", "__pycache__", ".cache", ".*_cache", "tests", "benchmarks"
    )
    shutil.copytree(ROOT, copy, ignore=ignored)
    (copy / ".venv" / "bin").mkdir(parents=True)
    tools = Path(sys.executable).parent
    (copy / ".venv" / "bin" / "activate").write_text(f'export PATH="{tools}:$PATH"\n')
    shutil.copytree(demo_store.path, copy / "models" / "artifacts", dirs_exist_ok=True)
    with Server(copy / "models" / "artifacts", cwd=copy, PLUMBLINE_BANNER="1") as server:
        yield copy, server


def test_the_banner_is_the_one_that_is_printed(checkout: tuple[Path, Server]) -> None:
    _, server = checkout
    lines = server.wait_for_output("  try ").splitlines()
    first = lines.index("Plumbline is ready")
    banner = "\n".join(lines[first : first + 4]).replace(str(server.port), "8000")
    assert banner in README


def test_every_command_prints_what_the_readme_says(checkout: tuple[Path, Server]) -> None:
    """One shell runs all commands, as a reader would; only the port differs."""
    copy, server = checkout
    commands = steps()
    assert len(commands) >= 8
    mark = "-- next --"
    script = "".join(f"{command}\necho; echo '{mark}'\n" for command, _ in commands)
    env = {k: v for k, v in os.environ.items() if not k.startswith("PLUMBLINE_")}
    done = subprocess.run(
        ["bash", "-e"],
        input=script.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}"),
        cwd=copy,
        env=env,
        capture_output=True,
        text=True,
        timeout=10 * LONG_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    outputs = done.stdout.split(mark)
    for (command, expected), output in zip(commands, outputs, strict=False):
        assert steady(output) == steady(expected), command
    assert Store(copy / "models" / "artifacts").selectors("wine")["first"] == 1


def test_links_lead_to_files() -> None:
    for name in ("README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))):
        base = (ROOT / name).parent
        for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / name).read_text()):
            assert (base / target).exists(), f"{name} links to {target}"
