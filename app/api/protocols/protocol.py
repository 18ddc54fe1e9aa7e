"""What a wire format has to say: ``decode``, ``encode`` and ``problem``. Views and error handling know nothing else of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from flask import Response

from app.api.request import PlainRequest
from app.concurrency.polling import hung_up
from app.inference.messages import Ask, Prediction
from models.errors import Fault, InputError
from models.names import Version
from schemas.headers import ROUTING_KEY, in_environ
from schemas.predict import PredictSchemas

#: Where WSGI has the key that a request sticks to when a traffic rule divides traffic.
STICKY_KEY = in_environ(ROUTING_KEY)


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as every protocol gets it."""

    status: int
    detail: str
    faults: Sequence[Fault] = ()
    #: Further members of a native problem's body.
    members: Mapping[str, Any] = field(default_factory=dict)


class Protocol:
    """One wire format."""

    #: The routes whose errors it writes: a path's own segments, where "<n>" stands for digits. The longest match wins.
    prefixes: Sequence[str] = ()

    def decode(self, ask: HttpAsk, schemas: PredictSchemas) -> None:
        """Set ``rows`` and ``parameters`` of the request. Raises InputError with every fault, or an HTTP error."""
        raise NotImplementedError

    def encode(self, ask: HttpAsk, prediction: Prediction) -> Response:
        """The reply to a request that was answered."""
        raise NotImplementedError

    def problem(self, problem: Problem, request_id: str) -> Response:
        """The reply to a request that failed or was refused."""
        raise NotImplementedError

    def column(self, ask: HttpAsk, schemas: PredictSchemas, name: str) -> str | None:
        """The value of a column in the first row, as text; None for a body that has none."""
        return None

    def located(self, ask: HttpAsk, error: InputError) -> InputError:
        """Faults that the model found in the rows, at the places where the request has them."""
        return error


class HttpAsk(Ask):
    """A request for a prediction that came over HTTP."""

    #: The body and whether it holds only numbers, where a traffic rule has made it necessary to read it early.
    body: tuple[Any, bool] | None = None
    #: Those of the version, once the request is read.
    schemas: PredictSchemas
    #: Of a native request: whether the body is the row itself.
    is_bare = False
    #: The moment when the rows had been read (time.perf_counter).
    read_at = 0.0

    def __init__(
        self,
        request: PlainRequest,
        protocol: Protocol,
        model: str | None,
        selector: str | None,
        *,
        is_single: bool = False,
    ) -> None:
        self.request = request
        self.protocol = protocol
        self.model = model
        self.selector = selector
        self.request_id = request.request_id
        self.routing_key = request.environ.get(STICKY_KEY, "")
        self.is_single = is_single

    def read(self, version: Version) -> None:
        """Decode the body by the schemas of the version."""
        self.schemas = schemas = self.request.context.schemas(version)
        self.protocol.decode(self, schemas)

    def header(self, name: str) -> str | None:
        """The value of a header of the request."""
        return cast("str | None", self.request.environ.get(in_environ(name)))

    def column(self, version: Version, name: str) -> str | None:
        """The value of a column in the first row of the body."""
        return self.protocol.column(self, self.request.context.schemas(version), name)

    def is_gone(self) -> bool:
        """Whether the client has closed its connection."""
        connection = self.request.environ.get("gunicorn.socket")
        return connection is not None and hung_up(connection)

    def located(self, error: InputError) -> InputError:
        """At the places that the protocol has for rows and parameters."""
        return self.protocol.located(self, error)
