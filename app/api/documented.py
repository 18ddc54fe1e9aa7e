"""The description of a route: a decorator of its view, from which the OpenAPI document is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from marshmallow import Schema

JSON = "application/json"

#: The attribute of a view that holds its operation.
ATTRIBUTE = "operation"

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Group:
    """Operations that stand together in the document.

    tag : the name of the group. It begins with a capital, as no model's name does.
    about : what its operations are for.
    security : the scheme by which a client is known, if it has to be.
    """

    tag: str
    about: str
    security: str = ""


CATALOG = Group("Catalog", "which models and versions there are, and what is known of each")
SERVICE = Group("Service", "whether the server is alive and ready, and what it counts")
ADMINISTRATION = Group("Administration", "what changes while it serves", security="token")
GROUPS = (CATALOG, SERVICE, ADMINISTRATION)

#: Name -> the scheme that a group's ``security`` refers to.
SECURITY_SCHEMES = {
    "token": {"type": "http", "scheme": "bearer", "description": "One of PLUMBLINE_ADMIN_TOKEN"}
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as the document describes it.

    operation_id : its name in generated clients.
    summary : what it answers or does, in a line.
    reply : the schema of its JSON; without one any object.
    media_types : of the reply; all but JSON are text.
    success : when the status is 200.
    also : further statuses with the same body, and what each says.
    problems : statuses whose body is a problem, but for those that follow from a path, a body or a token.
    query : required parameters of the query, each a version, and what is said of it.
    body : the schema of what is sent, which may be left away unless ``body_required``.
    setting : the setting without which the operation is not served.
    """

    operation_id: str
    summary: str
    group: Group
    reply: type[Schema] | None = None
    media_types: tuple[str, ...] = (JSON,)
    success: str = "The answer"
    also: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    query: Mapping[str, str] = field(default_factory=dict)
    body: type[Schema] | None = None
    body_required: bool = True
    setting: str = ""


def documented(
    operation_id: str, summary: str, group: Group, reply: type[Schema] | None = None, **details: Any
) -> Callable[[View], View]:
    """Attach an operation to a view; ``details`` are the other fields of ``Operation``."""
    operation = Operation(operation_id, summary, group, reply, **details)

    def attach(view: View) -> View:
        setattr(view, ATTRIBUTE, operation)
        return view

    return attach


def operation_of(view: Callable[..., Any]) -> Operation | None:
    """What the view says about itself; None where it says nothing and is left out of the document."""
    operation: Operation | None = getattr(view, ATTRIBUTE, None)
    return operation
