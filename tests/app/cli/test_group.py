"""An application knows its commands by name before they are imported."""

from __future__ import annotations

from flask import Flask

from app.cli.commands import COMMANDS
from app.cli.group import NAMES, Commands


def test_the_names_are_those_of_the_commands() -> None:
    assert sorted(NAMES) == sorted(str(command.name) for command in COMMANDS)


def test_commands_are_found_listed_and_missed_by_name() -> None:
    app = Flask("named")
    app.cli = Commands(app.name)
    run = app.test_cli_runner().invoke
    listed = run(args=["--help"]).output
    assert all(f"\n  {name} " in listed for name in NAMES)
    for command in COMMANDS:
        assert str(command.help).split(",")[0] in run(args=[str(command.name), "--help"]).output
    assert run(args=["nothing"]).exit_code == 2
