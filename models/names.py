"""The naming rules for models, tags and versions, and the references that are made of them, such as
``fraud:stable``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from models.errors import InvalidName

#: Regular expressions that documents show to clients: of a model's name, and of a selector of a version (a
#: number, tag or alias).
NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"
SELECTOR_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"

_NAME = re.compile(NAME_PATTERN[1:-1])
_TAG = re.compile(SELECTOR_PATTERN[1:-1])
_VERSION = re.compile(r"[1-9][0-9]{0,8}")

#: Aliases that only a promotion, a rollback or a traffic rule sets. ``latest`` is always computed.
ALIASES = ("stable", "canary", "shadow")
RESERVED_TAGS = (*ALIASES, "latest")


class Version(NamedTuple):
    """The key of a version: the name of its model and its number.

    It is a tuple because every request looks one up.
    """

    name: str
    number: int

    def __str__(self) -> str:
        """Return ``fraud:3``, the form in commands, logs and messages."""
        return f"{self.name}:{self.number}"


def check_model_name(name: str) -> str:
    """Return the name; raises InvalidName if it breaks the rules."""
    if not _NAME.fullmatch(name):
        raise InvalidName(
            f"{name!r} is not a model name: use 1-64 of a-z, 0-9, '_' and '-', "
            "and begin with a letter or digit"
        )
    return name


def check_tag(tag: str) -> str:
    """Return the tag; raises InvalidName if it breaks the rules or is an alias, which an operator cannot set
    as a tag.
    """
    if tag in RESERVED_TAGS:
        raise InvalidName(f"{tag!r} cannot be set as a tag: the store itself decides what it names")
    if not _TAG.fullmatch(tag) or tag.isdigit():
        raise InvalidName(
            f"{tag!r} is not a tag: use 1-64 of a-z, 0-9, '.', '_' and '-', begin with a letter or digit, "
            "and do not use digits alone (those are version numbers)"
        )
    return tag


def check_tags(tags: Iterable[str]) -> None:
    """Validate tags; raises InvalidName for the first one that is not valid."""
    for tag in tags:
        check_tag(tag)


def version_number(reference: str) -> int | None:
    """Return the number that the reference spells; None for a tag or an alias."""
    return int(reference) if _VERSION.fullmatch(reference) else None


def split_reference(reference: str) -> tuple[str, str]:
    """Split a reference into a model's name and a selector: ``fraud:3`` -> ("fraud", "3").

    The selector is "stable" by default.
    """
    name, _, selector = reference.partition(":")
    return check_model_name(name), selector or "stable"
