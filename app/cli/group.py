"""The names of the commands, whose code is imported when one is called, and so by no server."""

from __future__ import annotations

import click
from flask.cli import AppGroup

NAMES = ("models", "predict")


class Commands(AppGroup):
    """The commands of an application, which ``flask`` finds by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names in order."""
        return sorted({*super().list_commands(ctx), *NAMES})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of this name, or None."""
        if cmd_name in NAMES and cmd_name not in self.commands:
            from app.cli.commands import COMMANDS

            for command in COMMANDS:
                self.add_command(command)
        return super().get_command(ctx, cmd_name)
