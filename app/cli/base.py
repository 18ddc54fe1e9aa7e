"""The base of every command: settings, store, two options, and failures in one line without traceback."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import click
import orjson

from app.config import ConfigError, Settings, load_settings
from app.credentials import read_key
from models.errors import InputError, LoadError, PlumblineError
from models.store import Store

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
tags_option = click.option(
    "--tag", "tags", multiple=True, help="A name for the version, such as 1.0.0; repeatable."
)


class _Misused(click.ClickException):
    """A wrong use of a command, reported without its usage."""

    exit_code = click.UsageError.exit_code


class Command(click.Command):
    """A command that reports each failure in one line, also where click would print the usage."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _one_line():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with _one_line():
            return super().invoke(ctx)


class Group(Command, click.Group):
    """A group of commands of this class."""

    command_class = Command


def open_store() -> tuple[Settings, Store]:
    """Return the settings of the environment and their store. Raises ConfigError."""
    settings = load_settings()
    return settings, Store(settings.store, key=read_key(settings))


def one_version(store: Store, reference: str) -> tuple[str, int]:
    """Return the name and number of a reference that must name a version.

    A name alone, which stands for the stable version elsewhere, raises UsageError.
    """
    if not reference.partition(":")[2]:
        raise click.UsageError(f"name a version of it, such as {reference.rstrip(':')}:2")
    return store.resolve_reference(reference)


@contextmanager
def _one_line() -> Iterator[None]:
    """Turn every failure that a user can cause into click's own, with messages of one line."""
    try:
        yield
    except (click.exceptions.NoArgsIsHelpError, BrokenPipeError):  # click handles both
        raise
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "flask"
        raise _Misused(f"{_flat(error.format_message())} ({command} --help)") from error
    except InputError as error:
        raise click.ClickException("\nError: ".join(_fault_lines(error))) from error
    except LoadError as error:
        raise click.ClickException(_flat(error.in_full)) from error
    except (PlumblineError, ConfigError) as error:
        raise click.ClickException(_flat(str(error))) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {(error.strerror or str(error)).lower()}") from error


def _fault_lines(error: InputError) -> Iterable[str]:
    for fault in error.faults:
        location = ".".join(map(str, fault.loc)) or "the request"
        got = "" if fault.got is None else f", got {orjson.dumps(fault.got).decode()}"
        expected = f"; expected {fault.expected}" if fault.expected else ""
        yield _flat(f"{location}: {fault.msg}{expected}{got}")


def _flat(text: str) -> str:
    return " ".join(text.split())


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Print each warning of a library, for example about another version of it, as one line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        yield
    for line in dict.fromkeys(_flat(str(warning.message)) for warning in caught):
        click.echo(f"Warning: {line[:300]}", err=True)
