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
    """A group of operations in the document."""

    #: The name of the group. It begins with a capital, unlike a model's name.
    tag: str
    #: The purpose of the operations.
    about: str
    #: The security scheme that the operations need; empty for public ones.
    security: str = ""


CATALOG = Group("Catalog", "models, versions, and what is recorded about them")
SERVICE = Group("Service", "liveness, readiness and metrics of the server")
ADMINISTRATION = Group("Administration", "changes to a running server", security="token")
GROUPS = (CATALOG, SERVICE, ADMINISTRATION)

#: The security schemes, by the name that ``Group.security`` refers to.
SECURITY_SCHEMES = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "An administrator's token, see PLUMBLINE_ADMIN_TOKEN",
    }
}


@dataclass(frozen=True, slots=True)
class Operation:
    """The description of one operation."""

    #: The name of the operation in generated clients.
    operation_id: str
    #: One line about the operation.
    summary: str
    group: Group
    #: The schema of the JSON reply; None for any object.
    reply: type[Schema] | None = None
    #: The media types of the reply; all but JSON are text.
    media_types: tuple[str, ...] = (JSON,)
    #: The description of the status 200.
    success: str = "The answer"
    #: Further statuses with the same body, and the description of each.
    also: Mapping[str, str] = field(default_factory=dict)
    #: The statuses with a problem as their body, without those that follow from a path, a body or a token.
    problems: tuple[str, ...] = ()
    #: The required parameters of the query, each a version, and the description of each.
    query: Mapping[str, str] = field(default_factory=dict)
    #: The schema of the request body.
    body: type[Schema] | None = None
    #: Whether a request without a body is refused.
    body_required: bool = True
    #: The setting that switches the operation on; empty for one that is always served.
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
    """Return the operation of a view; None for a view that is not in the document."""
    operation: Operation | None = getattr(view, ATTRIBUTE, None)
    return operation
