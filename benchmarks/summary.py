"""What do the raw repeats come to, arm by arm: who is ranked, at which rate, how far from this project, what is missing?

Every page is written from here, so that no two pages can say different things of the same file.
"""

from __future__ import annotations

import itertools
import math
import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from benchmarks.arms import ARMS
from benchmarks.plan import GOAL_CONNECTIONS, GOAL_RATE, MODELS, REPEATS
from benchmarks.results import (
    BOOTSTRAP_ROUNDS,
    BUSY_LIMIT,
    Figure,
    Results,
    cpu_seconds_per_1000,
    pss_mib,
    rate,
)

OWN = "plumbline"
GOAL_P99_MS = 100.0
MODEL_TITLES = {
    "lr": "Logistic regression, 4 features",
    "hgb": "Histogram gradient boosting, 30 features",
    "rf": "Random forest, 100 trees",
}

MODEL_WORDS = {"lr": "logistic regression", "hgb": "gradient boosting", "rf": "random forest"}
NOT_YET = "no cell measured yet"

Standing = Literal["ranked", "floor", "wrong", "not measured"]
Cell = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Line:
    """One arm under one load. ``own`` is this project's cell of the same load, which the ratio is taken of."""

    arm: str
    standing: Standing
    label_only: bool
    cell: Cell
    own: Cell | None
    planned_repeats: int

    @property
    def answered(self) -> list[Cell]:
        """The repeats that brought an answer."""
        return [r for r in self.cell["repeats"] if r.get("answered")]

    @property
    def speed(self) -> float:
        """The median of requests a second: all that sorting and most tables need of the rate."""
        return statistics.median(_rates(self.cell))

    @cached_property
    def rate(self) -> Figure:
        """Requests a second, with its interval."""
        found = rate(self.cell)
        assert found is not None  # a line is only made of a cell with answers
        return found

    @cached_property
    def ratio(self) -> Figure | None:
        """The arm's rate for each request of this project's; None when this project was not measured."""
        return None if self.own is None else ratio(self.cell, self.own)

    @cached_property
    def cpu(self) -> Figure | None:
        """CPU seconds for 1000 requests."""
        return cpu_seconds_per_1000(self.cell)

    @cached_property
    def memory(self) -> Figure | None:
        """MiB of the whole process tree."""
        return pss_mib(self.cell)

    def latency(self, quantile: str) -> float:
        """The median of a latency quantile over the repeats, in milliseconds."""
        return statistics.median(float(r["latency_ms"][quantile]) for r in self.answered)

    def curve(self) -> list[tuple[float, float]]:
        """(percentile, milliseconds): the median over the repeats, as far as a request was slower still in each of them."""
        fewest = min(int(r["answered"]) for r in self.answered)
        columns: dict[float, list[float]] = {}
        for repeat in self.answered:
            for percent, ms in repeat["curve_ms"]:
                columns.setdefault(percent, []).append(ms)
        return [
            (percent, statistics.median(ms))
            for percent, ms in sorted(columns.items())
            if len(ms) == len(self.answered) and fewest * (1 - percent / 100) >= 1
        ]

    def count(self, name: str) -> int:
        """The sum of a counter ("sent", "answered", "errors", "timeouts") over all repeats, those without answers too."""
        return sum(int(r.get(name, 0)) for r in self.cell["repeats"])

    @property
    def offered(self) -> float | None:
        """Requests a second that were due; None in a closed loop."""
        rates = [r["offered_rate"] for r in self.answered if r.get("offered_rate")]
        return statistics.median(rates) if rates else None

    @property
    def answered_share(self) -> float:
        """Answers for each request that was due: in the open loop also those that were never sent."""
        due = self.count("answered") + self.count("errors") + self.count("timeouts")
        return self.count("answered") / due if due else 0.0

    @property
    def remarks(self) -> tuple[str, ...]:
        """Why the figures may not be the server's own."""
        busy = max(float(r["generator_busy"]) for r in self.answered)
        found = [f"the generator used {busy:.0%} of its core"] if busy > BUSY_LIMIT else []
        if len(self.answered) < len(self.cell["repeats"]):
            found.append(f"{len(self.cell['repeats']) - len(self.answered)} repeats brought no answer")
        if len(self.cell["repeats"]) < self.planned_repeats:
            found.append(f"{len(self.cell['repeats'])} of {self.planned_repeats} repeats so far")
        return tuple(found)


def arm_names(results: Results) -> list[str]:
    """Every arm of the comparison in its order, then those that only the file knows."""
    return [*ARMS, *(name for name in results.arms if name not in ARMS)]


def standing(results: Results, arm: str) -> Standing:
    """Whether the arm's figures may be ranked."""
    status = results.arms.get(arm, {}).get("status", "not measured")
    if status == "wrong":
        return "wrong"
    has_figures = any(r.get("answered") for c in results.find(arm=arm) for r in c["repeats"])
    if status != "measured" or not has_figures:
        return "not measured"
    return "floor" if results.arms[arm].get("form") == "floor" else "ranked"


def reason(results: Results, arm: str) -> str:
    """Why an arm is wrong or was not measured, in one line."""
    about = results.arms.get(arm)
    if about is None:
        return "not part of this run"
    differences = [f"{m}: {p['wrong']}" for m, p in about.get("parity", {}).items() if p.get("wrong")]
    failures = [r["failed"] for c in results.find(arm=arm) for r in c["repeats"] if r.get("failed")]
    return "; ".join(differences) or about.get("reason") or next(iter(failures), "") or NOT_YET


def unranked(results: Results) -> list[tuple[str, Standing, str]]:
    """(arm, wrong or not measured, reason) for every arm without a place in the tables."""
    found = [(name, standing(results, name)) for name in arm_names(results)]
    return [(n, s, reason(results, n)) for n, s in found if s in ("wrong", "not measured")]


def lines(results: Results, model: str, connections: int = 64, kind: str = "main", **load: Any) -> list[Line]:
    """The arms that answered this load, fastest first, floors last. Arms that answer wrongly have no line."""
    wanted = {
        "model": model,
        "rows": 1,
        "connections": connections,
        "kind": kind,
        "workers": 1,
        "share": None,
        "rate": None,
    }
    found = {c["arm"]: c for c in results.find(**{**wanted, **load})}
    found = {arm: c for arm, c in found.items() if any(r.get("answered") for r in c["repeats"])}
    own = found.get(OWN) if standing(results, OWN) == "ranked" else None
    planned = int(results.plan.get("repeats", REPEATS))
    made = [
        Line(arm, place, bool(results.arms[arm].get("label_only")), cell, own, planned)
        for arm, cell in found.items()
        if (place := standing(results, arm)) in ("ranked", "floor")
    ]
    return sorted(made, key=lambda line: (line.standing == "floor", -line.speed))


def goal_lines(
    results: Results, model: str, rate: float = GOAL_RATE, connections: int = GOAL_CONNECTIONS
) -> list[Line]:
    """A fixed rate over so many connections; by default the service goal's."""
    return lines(results, model, connections, "open", rate=rate)


def models(results: Results) -> list[str]:
    """The models with a cell in this file, in the plan's order."""
    measured = {c["model"] for c in results.cells.values()}
    return [m for m in MODELS if m in measured]


def missing(results: Results) -> dict[str, list[str]]:
    """Arm -> planned cells of it that have fewer repeats with answers than planned, without the arm's name."""
    planned = int(results.plan.get("repeats", REPEATS))
    found: dict[str, list[str]] = {}
    for key in dict.fromkeys([*results.plan.get("cells", ()), *results.cells]):
        arm, _, load = key.partition(" ")
        done = sum(bool(r.get("answered")) for r in results.cells.get(key, {}).get("repeats", ()))
        if done < planned:
            found.setdefault(arm, []).append(load if done == 0 else f"{load} ({done} of {planned} repeats)")
    return found


def is_whole(results: Results) -> bool:
    """Whether every planned cell was tried as often as planned, whatever came of it."""
    planned = int(results.plan.get("repeats", REPEATS))
    return all(
        len(results.cells.get(key, {}).get("repeats", ())) >= planned for key in results.plan.get("cells", ())
    )


def awaited(results: Results, model: str) -> list[str]:
    """The arms whose main cell of a model was planned and has no figure, though nothing is wrong with them."""
    gaps = missing(results)
    load = f"{model} 1r 64c main 1w"
    told = {arm for arm, _, why in unranked(results) if why != NOT_YET}
    return [arm for arm, loads in gaps.items() if load in loads and arm not in told]


def planned_cells(results: Results) -> int:
    """How many cells the run was to measure."""
    return len({*results.plan.get("cells", ()), *results.cells})


def busy_cells(results: Results) -> list[tuple[str, float]]:
    """(cell, share) where the generator used more of its core than it may, the busiest first."""
    shares = {
        key: max((r.get("generator_busy", 0.0) for r in cell["repeats"]), default=0.0)
        for key, cell in results.cells.items()
    }
    return sorted(((k, s) for k, s in shares.items() if s > BUSY_LIMIT), key=lambda pair: -pair[1])


def busiest(results: Results) -> float:
    """The largest share of its core that a generator used in any repeat."""
    repeats = (r for cell in results.cells.values() for r in cell["repeats"])
    return max((r.get("generator_busy", 0.0) for r in repeats), default=0.0)


def cores_shared(results: Results) -> bool:
    """Whether the machine has no core of its own for the generator."""
    return int(results.machine.get("cores") or 0) < 2


def knee(lines_by_load: Sequence[Line]) -> Line | None:
    """The highest offered load that an arm still carries: at least 99 % answered, and p99 at most three times the p99
    of its lowest load. None when it carries not even that."""
    ordered = sorted(lines_by_load, key=lambda line: line.offered or 0.0)
    carried = None
    for line in ordered:
        if line.answered_share < 0.99 or line.latency("p99") > 3 * ordered[0].latency("p99"):
            break
        carried = line
    return carried


def cold_start(results: Results, arm: str, model: str) -> list[float]:
    """Seconds to the first correct answer, one for each start."""
    found = results.arms.get(arm, {}).get("cold_start_seconds", {}).get(model) or []
    return [float(s) for s in found]


def ratio(cell: Cell, own: Cell) -> Figure:
    """How many times this project's rate an arm's rate is, with a 95 % bootstrap interval of the quotient of medians."""
    theirs, ours = _rates(cell), _rates(own)
    quotients = sorted(a / b for a, b in _pairs(theirs, ours) if b)
    low, high = quotients[int(0.025 * len(quotients))], quotients[math.ceil(0.975 * len(quotients)) - 1]
    return Figure(statistics.median(theirs) / statistics.median(ours), low, high, min(len(theirs), len(ours)))


def _rates(cell: Cell) -> list[float]:
    return [float(r["rate"]) for r in cell["repeats"] if r.get("answered")]


def _pairs(theirs: list[float], ours: list[float]) -> Iterator[tuple[float, float]]:
    """Medians of samples drawn with replacement: every sample there is when they are few, else a fixed draw."""
    if max(len(theirs), len(ours)) <= 4:
        return itertools.product(_every_median(theirs), _every_median(ours))
    drawn = random.Random(0)

    def one(values: list[float]) -> float:
        return statistics.median(drawn.choices(values, k=len(values)))

    return iter([(one(theirs), one(ours)) for _ in range(BOOTSTRAP_ROUNDS)])


def _every_median(values: list[float]) -> list[float]:
    return [statistics.median(sample) for sample in itertools.product(values, repeat=len(values))]
