"""What the OpenAPI document says about the administration, where there is one."""

from __future__ import annotations

from dataclasses import replace

from app.api.openapi_service import STATUSES_OF_BODIES, Route
from schemas.admin import (
    HistorySchema,
    OutcomeSchema,
    PromoteSchema,
    ReasonSchema,
    RollbackSchema,
    TagSchema,
    TrafficSchema,
    WorkersSchema,
)

#: Model names are lower case, so no model's tag is this.
ADMIN_TAG = "Administration"
SECURITY = "token"
SECURITY_SCHEME = {"type": "http", "scheme": "bearer", "description": "One of PLUMBLINE_ADMIN_TOKEN"}

_DENIED = {"401": "Problem401"}
_UNFINISHED = {"202": "The change is made, and not every worker serves it yet"}

_VERB = Route(
    "",
    "",
    ADMIN_TAG,
    "",
    OutcomeSchema,
    method="post",
    reply="Every worker of this host serves the change",
    parameters=("name",),
    also={
        **_UNFINISHED,
        **_DENIED,
        **{status: f"Problem{status}" for status in (*STATUSES_OF_BODIES, "404", "409", "503")},
    },
    security=SECURITY,
)
_LOOK = Route("", "", ADMIN_TAG, "", also=_DENIED, security=SECURITY)

ADMIN = (
    replace(
        _VERB,
        path="/admin/models/{name}/promote",
        operation_id="admin.promote",
        summary="Let a version be stable",
        body=PromoteSchema,
    ),
    replace(
        _VERB,
        path="/admin/models/{name}/rollback",
        operation_id="admin.rollback",
        summary="Let the version be stable that was before",
        body=RollbackSchema,
        body_required=False,
    ),
    replace(
        _VERB,
        path="/admin/models/{name}/tag",
        operation_id="admin.tag",
        summary="Let a tag name a version",
        body=TagSchema,
    ),
    replace(
        _VERB,
        path="/admin/models/{name}/traffic",
        method="put",
        operation_id="admin.traffic",
        summary="Let a rule decide which version a request gets",
        body=TrafficSchema,
    ),
    replace(
        _VERB,
        path="/admin/models/{name}/traffic",
        method="delete",
        operation_id="admin.traffic_off",
        summary="Let the stable version have every request",
        body=ReasonSchema,
        body_required=False,
    ),
    replace(
        _LOOK,
        path="/admin/models/{name}/history",
        operation_id="admin.history",
        summary="What was changed, by whom and why?",
        schema=HistorySchema,
        parameters=("name",),
        also={**_DENIED, "404": "Problem404"},
    ),
    replace(
        _LOOK,
        path="/admin/workers",
        operation_id="admin.workers",
        summary="Which workers are there, and what does each serve?",
        schema=WorkersSchema,
    ),
    replace(
        _VERB,
        path="/admin/reload",
        operation_id="admin.reload",
        summary="Let every worker read the store anew",
        parameters=(),
        also={**_UNFINISHED, **_DENIED, "503": "Problem503"},
    ),
)
