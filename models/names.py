"""Which names are allowed for models, tags and versions, and how a reference such as ``fraud:stable`` is read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from models.errors import InvalidName

#: As documents show them to clients: a model, and what may name a version (a number, tag or alias).
NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"
SELECTOR_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"

_NAME = re.compile(NAME_PATTERN[1:-1])
_TAG = re.compile(SELECTOR_PATTERN[1:-1])
_VERSION = re.compile(r"[1-9][0-9]{0,8}")

#: Aliases that only the store's own verbs set; ``latest`` is always computed.
ALIASES = ("stable", "canary", "shadow")
RESERVED_TAGS = (*ALIASES, "latest")


class Version(NamedTuple):
    """The key of a version: its model's name and its number. A tuple, because every request looks one up."""

    name: str
    number: int

    def __str__(self) -> str:
        """``fraud:3``, as commands, logs and messages spell it."""
        return f"{self.name}:{self.number}"


def check_model_name(name: str) -> str:
    """The name itself; raises InvalidName."""
    if not _NAME.fullmatch(name):
        raise InvalidName(
            f"{name!r} is no model name: use 1-64 of a-z, 0-9, '_' and '-', and begin with a letter or digit"
        )
    return name


def check_tag(tag: str) -> str:
    """The tag itself; raises InvalidName, also for the aliases, which only their verbs may set."""
    if tag in RESERVED_TAGS:
        raise InvalidName(f"{tag!r} is not set as a tag: the store itself decides what it names")
    if not _TAG.fullmatch(tag) or tag.isdigit():
        raise InvalidName(
            f"{tag!r} is no tag: use 1-64 of a-z, 0-9, '.', '_' and '-', begin with a letter or digit, "
            "and do not use digits alone (those are version numbers)"
        )
    return tag


def check_tags(tags: Iterable[str]) -> None:
    """Raises InvalidName for the first that is no tag."""
    for tag in tags:
        check_tag(tag)


def version_number(reference: str) -> int | None:
    """The number that the reference spells, or None when it is a tag or an alias."""
    return int(reference) if _VERSION.fullmatch(reference) else None


def split_reference(reference: str) -> tuple[str, str]:
    """``fraud:3`` -> ("fraud", "3"); without a tag the second part is "stable"."""
    name, _, selector = reference.partition(":")
    return check_model_name(name), selector or "stable"
