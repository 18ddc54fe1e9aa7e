"""The interface of a wire format: ``decode``, ``encode`` and ``problem``."""

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

#: The key in a WSGI environ of the header by which a traffic rule divides requests.
STICKY_KEY = in_environ(ROUTING_KEY)


@dataclass(frozen=True, slots=True)
class Problem:
    """An error, before a protocol writes it."""

    status: int
    #: One line for the client.
    detail: str
    faults: Sequence[Fault] = ()
    #: Further members of a native problem's body.
    members: Mapping[str, Any] = field(default_factory=dict)


class Protocol:
    """One wire format. Views and error handlers use no other members of it."""

    #: The route prefixes whose errors the protocol writes, in which "<n>" stands for digits. The longest
    #: matching prefix of all protocols decides.
    prefixes: Sequence[str] = ()

    def decode(self, ask: HttpAsk, schemas: PredictSchemas) -> None:
        """Read the body into ``ask.rows`` and ``ask.parameters``.

        Raises InputError with every fault, or an HTTP error.
        """
        raise NotImplementedError

    def encode(self, ask: HttpAsk, prediction: Prediction) -> Response:
        """Return the reply with a prediction."""
        raise NotImplementedError

    def problem(self, error: Problem, request_id: str) -> Response:
        """Return the reply to a request that failed or was refused."""
        raise NotImplementedError

    def column(self, ask: HttpAsk, schemas: PredictSchemas, name: str) -> str | None:
        """Return the value of a column in the first row, as text; None if the body does not have it."""
        return None

    def located(self, ask: HttpAsk, error: InputError) -> InputError:
        """Return the model's faults with the locations that the rows have in the request."""
        return error


class HttpAsk(Ask):
    """A request for a prediction over HTTP."""

    #: The value of the body and whether it holds only numbers, if a traffic rule made it necessary to read it
    #: before ``decode``.
    body: tuple[Any, bool] | None = None
    #: The schemas of the version; set by ``read``.
    schemas: PredictSchemas
    #: Whether the body of a native request is the row itself.
    is_bare = False
    #: The time when the rows had been read, in seconds of time.perf_counter.
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
        """Decode the body with the schemas of the version."""
        self.schemas = schemas = self.request.context.schemas(version)
        self.protocol.decode(self, schemas)

    def header(self, name: str) -> str | None:
        """Return the value of a header of the request."""
        return cast("str | None", self.request.environ.get(in_environ(name)))

    def column(self, version: Version, name: str) -> str | None:
        """Return the value of a column in the first row of the body."""
        return self.protocol.column(self, self.request.context.schemas(version), name)

    def is_gone(self) -> bool:
        """Return whether the client has closed its connection."""
        connection = self.request.environ.get("gunicorn.socket")
        return connection is not None and hung_up(connection)

    def located(self, error: InputError) -> InputError:
        """Return the model's faults with the locations that the protocol gives them."""
        return self.protocol.located(self, error)
