"""Which cells a run measures, in which order, and how long that will take."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.arms import ARMS, Arm

MODELS = ("lr", "hgb", "rf")
REPEATS = 3
WARM_UP_SECONDS = 1.0
SHORT_WARM_UP_SECONDS = 0.5

#: Seconds of one repeat. All cells at five seconds would take nearly three hours; the ranking is made from "main".
SECONDS = {"main": 5.0, "side": 1.6, "open": 2.4, "two-workers": 3.5, "own-header": 2.5}

#: Shares of an arm's own maximum at 64 connections, and the service goal of the design.
OPEN_SHARES = (0.25, 0.50, 0.75, 0.90)
GOAL_RATE, GOAL_CONNECTIONS = 1000.0, 1000

#: The arms that a reader would pick from, for the loads that take long.
PICKED = (
    "plumbline",
    "plumbline-compiled",
    "fastapi-tutorial",
    "fastapi-async",
    "fastapi-batched",
    "fastapi-expert",
    "bentoml-batched",
    "ray-serve-batched",
    "grpc",
    "floor-wsgi",
    "floor-asgi",
)

#: A rate that few arms reach on one core, for the fastest of them.
HIGH_RATE, HIGH_CONNECTIONS = 5000.0, 256
FASTEST = ("plumbline", "plumbline-compiled", "fastapi-batched", "fastapi-expert")

#: The arms whose price for a header of its own in each request is worth knowing: what keeps heads that it has read saves nothing.
HEADS = (
    "plumbline",
    "fastapi-batched",
    "fastapi-expert",
    "floor-flask",
    "floor-fastapi",
    "floor-wsgi",
    "floor-asgi",
)

Kind = Literal["main", "side", "open", "two-workers", "own-header"]


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One load on one arm: what is measured, and repeated. ``share`` is of the arm's own maximum; ``rate`` is fixed."""

    arm: str
    model: str
    rows: int
    connections: int
    kind: Kind
    workers: int = 1
    share: float | None = None
    rate: float | None = None

    @property
    def open_loop(self) -> bool:
        """Whether requests are due at fixed moments."""
        return self.kind == "open"

    @property
    def own_header(self) -> bool:
        """Whether each request has a header that no other has."""
        return self.kind == "own-header"

    @property
    def warm_up_seconds(self) -> float:
        """A closed loop whose figures are thrown away."""
        return WARM_UP_SECONDS if self.kind == "main" else SHORT_WARM_UP_SECONDS

    @property
    def key(self) -> str:
        """A name that tells it from every other cell."""
        load = "" if not self.open_loop else f" {self.share:.0%}" if self.share else f" {self.rate:g}/s"
        return f"{self.arm} {self.model} {self.rows}r {self.connections}c {self.kind}{load} {self.workers}w"


@dataclass(frozen=True, slots=True)
class Visit:
    """One start of one server, and the cells that are measured before it is stopped."""

    arm: Arm
    model: str
    workers: int
    repeat: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Every cell of a run with how often and how long each is measured."""

    cells: tuple[Cell, ...]
    repeats: int
    seconds: dict[str, float]

    def visits(self) -> list[Visit]:
        """Interleaved: every arm is visited once before any is visited again, in turns forwards and backwards, so that
        a machine that changes while it is measured changes for all."""
        found = []
        for repeat in range(self.repeats):
            groups: dict[tuple[str, str, int], list[Cell]] = {}
            for cell in self.cells:
                groups.setdefault((cell.model, cell.arm, cell.workers), []).append(cell)
            ordered = list(groups.items())
            for (model, arm, workers), cells in reversed(ordered) if repeat % 2 else ordered:
                found.append(Visit(ARMS[arm], model, workers, repeat, tuple(cells)))
        return found

    def estimated_seconds(self, start_seconds: float = 6.0, rest_seconds: float = 0.9) -> float:
        """How long the run will take, with so long for each start and stop of a server, and until one is at rest after a load."""
        loads = (
            sum(self.seconds[c.kind] + c.warm_up_seconds + rest_seconds for c in self.cells) * self.repeats
        )
        return loads + start_seconds * len(self.visits())


def full_plan(arms: Sequence[str] = (), models: Sequence[str] = ()) -> Plan:
    """The whole comparison, or the part of it with these arms and models."""
    chosen = [ARMS[name] for name in arms or ARMS]
    cells = [
        cell
        for model in models or MODELS
        for arm in chosen
        if arm.ranked or model == "lr"  # a floor answers no model, so once is enough
        for cell in _cells(arm, model)
    ]
    return Plan(tuple(cells), REPEATS, SECONDS)


def quick_plan(arms: Sequence[str] = (), models: Sequence[str] = (), seconds: float = 3.0) -> Plan:
    """Logistic regression, one row, 64 connections, once."""
    cells = tuple(Cell(name, model, 1, 64, "main") for model in models or ("lr",) for name in arms or ARMS)
    return Plan(cells, 1, dict.fromkeys(SECONDS, seconds))


def _cells(arm: Arm, model: str) -> Iterable[Cell]:
    yield Cell(arm.name, model, 1, 64, "main")
    yield Cell(arm.name, model, 1, 1, "side")
    if arm.ranked and arm.wire.batches:
        for rows in (16, 256):
            yield Cell(arm.name, model, rows, 64, "side")
    # After the others: a slow server works off a thousand connections' requests for a while.
    yield Cell(arm.name, model, 1, 1000, "side")
    if model == "lr" and arm.name in HEADS:
        yield Cell(arm.name, model, 1, 64, "own-header")
    if arm.name not in PICKED:
        return
    if model in ("lr", "rf"):
        for share in OPEN_SHARES:
            yield Cell(arm.name, model, 1, 64, "open", share=share)
        yield Cell(arm.name, model, 1, GOAL_CONNECTIONS, "open", rate=GOAL_RATE)
    if model == "lr" and arm.name in FASTEST:
        yield Cell(arm.name, model, 1, HIGH_CONNECTIONS, "open", rate=HIGH_RATE)
    if model == "lr":
        yield Cell(arm.name, model, 1, 64, "two-workers", workers=2)
