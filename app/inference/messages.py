"""What passes between front ends, the engine and observers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from models.errors import InputError
from models.names import Version
from models.outputs import Outputs


@dataclass(slots=True, eq=False)
class Answer:
    """What a model answered to the rows of one request."""

    outputs: Outputs
    #: Seconds that the request waited for the model, and that the model's call took.
    queue_seconds: float
    predict_seconds: float
    #: Rows of the call, which several requests may have shared.
    batch_rows: int


class Route(NamedTuple):
    """Where a request goes."""

    target: Version
    #: Why a traffic rule chose the version, for replies, metrics and logs; empty without a rule.
    arm: str = ""
    #: The version that is asked the same after the reply.
    shadow: Version | None = None


class Ask:
    """One request for a prediction, as a front end hands it to ``Engine.ask``.

    A front end whose rows depend on the version (their columns are in its signature) derives from this class and reads
    them in ``read``.
    """

    #: The engine sets it; None for a request that could not be routed.
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
        """``model`` None is the default model; ``selector`` (a number, tag or alias) None lets its traffic rule choose.

        ``routing_key`` is what the request sticks to when a rule divides traffic.
        """
        self.model = model
        self.selector = selector
        self.rows = rows
        self.parameters = {} if parameters is None else parameters
        self.request_id = request_id
        self.routing_key = routing_key

    def read(self, version: Version) -> None:
        """Set ``rows`` and ``parameters`` as the version takes them. Raises InputError, or what the protocol raises."""

    def header(self, name: str) -> str | None:
        """The value of a header that a traffic rule looks at."""
        return None

    def column(self, version: Version, name: str) -> str | None:
        """The value of a column in the first row, as text, for a traffic rule that divides by it."""
        return None

    def is_gone(self) -> bool:
        """Whether the client has left, so that the answer is not needed any more. Reads nothing and does not wait."""
        return False

    def located(self, error: InputError) -> InputError:
        """Faults that the model found in the rows, at the places where the request has them."""
        return error


@dataclass(slots=True, eq=False)
class Event:
    """What became of a request: a Prediction or a Failure."""

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
    """The outcome of asking ``shadow`` the rows that ``target`` had answered."""

    target: Version
    shadow: Version
    #: agrees, differs, error, unlike (other columns) or dropped (too much waited).
    outcome: str
    #: Seconds of the target's call, and of the shadow's where there was one.
    seconds: float
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
    #: None for a request that asked no model.
    route: Route | None
    #: The header Server-Timing, or empty.
    timing: str
    size_bytes: int | None


class Observer:
    """Hears what happened, after it happened. This one does nothing; a subclass overrides what it wants to hear.

    A method must neither wait nor raise: it is called while a client waits.
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
        """A request that had arrived is gone, answered or not."""

    def loaded(self, target: Version, seconds: float, ready: bool) -> None:
        """A version was loaded, or could not be."""

    def shadowed(self, shadowed: Shadowed) -> None:
        """A shadow was asked, or dropped."""


def listeners(observers: Sequence[Observer], event: str) -> tuple[Callable[..., None], ...]:
    """The methods of this name that observers override, so that nobody is called who does not listen."""
    unheard = getattr(Observer, event)
    return tuple(getattr(o, event) for o in observers if getattr(type(o), event) is not unheard)
