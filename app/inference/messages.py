"""The values that pass between front ends, the engine and observers, and their identifiers."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from models.errors import InputError
from models.names import Version
from models.outputs import Outputs

#: Identifiers that one read of the kernel's random bytes yields.
ID_BLOCK = 256

_unused_ids: list[str] = []
# A child process must not issue the identifiers of its parent.
os.register_at_fork(after_in_child=_unused_ids.clear)


def new_id() -> str:
    """Return a unique identifier of a request or prediction: 128 random bits as 32 hexadecimal digits."""
    try:
        return _unused_ids.pop()
    except IndexError:
        digits = os.urandom(16 * ID_BLOCK).hex()
        _unused_ids.extend(digits[i : i + 32] for i in range(0, len(digits), 32))
        return os.urandom(16).hex()


@dataclass(slots=True, eq=False)
class Answer:
    """A model's answer to the rows of one request."""

    outputs: Outputs
    #: Seconds that the request waited for the model.
    queue_seconds: float
    #: Seconds that the model's call took.
    predict_seconds: float
    #: Rows of the call, which several requests may have shared.
    batch_rows: int


class Route(NamedTuple):
    """The version that a request is routed to."""

    target: Version
    #: The arm of the traffic rule that chose the version, for replies, metrics and logs; empty without a
    #: rule.
    arm: str = ""
    #: The version that predicts the same rows after the reply.
    shadow: Version | None = None


class Ask:
    """One request for a prediction, as a front end hands it to ``Engine.ask``.

    A front end whose rows depend on the version (the signature has their columns) derives from this class and
    reads the rows in ``read``.
    """

    #: Set by the engine; None for a request that could not be routed.
    route: Route | None = None
    #: ndarray of shape (n_rows, n_columns), dtype float64 or object as the signature says.
    rows: np.ndarray
    parameters: Mapping[str, Any]

    def __init__(
        self,
        model: str | None = None,
        selector: str | None = None,
        rows: Any = None,
        parameters: Mapping[str, Any] | None = None,
        request_id: str = "",
        routing_key: str = "",
    ) -> None:
        """Store the parts of a request.

        ``model`` None selects the default model. ``selector`` is a number, tag or alias; None lets the
        model's traffic rule choose. Requests with one ``routing_key`` get one version when a rule divides
        traffic.
        """
        self.model = model
        self.selector = selector
        self.rows = rows
        self.parameters = {} if parameters is None else parameters
        self.request_id = request_id
        self.routing_key = routing_key

    def read(self, version: Version) -> None:
        """Set ``rows`` and ``parameters`` for the version. Raises InputError, or an error of the protocol."""

    def header(self, name: str) -> str | None:
        """Return the value of a header that a traffic rule matches."""
        return None

    def column(self, version: Version, name: str) -> str | None:
        """Return the value of a column in the first row, as text, for a traffic rule that divides by it."""
        return None

    def is_gone(self) -> bool:
        """Return whether the client has left, so that no answer is needed.

        Reads nothing and does not wait.
        """
        return False

    def located(self, error: InputError) -> InputError:
        """Return the model's faults with the locations that the rows have in the request."""
        return error


@dataclass(slots=True, eq=False)
class Event:
    """The outcome of a request: a Prediction or a Failure."""

    ask: Ask


@dataclass(slots=True, eq=False)
class Prediction(Event):
    """A request that was answered."""

    prediction_id: str
    target: Version
    answer: Answer


@dataclass(slots=True, eq=False)
class Failure(Event):
    """A request that was refused, or that the model failed to answer."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Shadowed:
    """The outcome of a shadow: ``shadow`` got the rows that ``target`` had answered."""

    target: Version
    shadow: Version
    #: agrees, differs, error, unlike (other columns) or dropped (the queue was full).
    outcome: str
    #: Seconds of the target's call.
    seconds: float
    #: Seconds of the shadow's call; None without one.
    shadow_seconds: float | None = None


class Reply(NamedTuple):
    """A reply that the HTTP front end wrote, to a prediction or to anything else."""

    #: Nanoseconds since the epoch.
    moment_ns: int
    #: Seconds from the request's arrival in the application.
    seconds: float
    request_id: str
    method: str
    path: str
    status: int
    #: None for a request that was not routed to a model.
    route: Route | None
    #: The header Server-Timing, or empty.
    timing: str
    size_bytes: int | None


class Observer:
    """A listener for what happens to requests and models. Subclasses override the events that they need.

    The methods of this class do nothing. An override must neither wait nor raise, because a client waits
    meanwhile.
    """

    def arrived(self) -> None:
        """A request has arrived at the HTTP front end."""

    def predicted(self, prediction: Prediction) -> None:
        """The engine answered a request."""

    def failed(self, failure: Failure) -> None:
        """The engine could not answer a request."""

    def replied(self, reply: Reply) -> None:
        """The HTTP front end wrote a reply."""

    def left(self) -> None:
        """A request has ended, answered or not."""

    def loaded(self, target: Version, seconds: float, ready: bool) -> None:
        """A version was loaded (``ready``), or loading it failed, after ``seconds``."""

    def shadowed(self, shadowed: Shadowed) -> None:
        """A shadow answered, failed, or was dropped."""


def listeners(observers: Sequence[Observer], event: str) -> tuple[Callable[..., None], ...]:
    """Return the observers' methods for this event, without those that are not overridden."""
    base = getattr(Observer, event)
    return tuple(getattr(o, event) for o in observers if getattr(type(o), event) is not base)
