"""How many points does a candidate get for one part of a criterion, and from which figure, check or fact?"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import summary
from benchmarks.environments import PEERS
from benchmarks.results import Results
from benchmarks.summary import Line
from benchmarks.wording import median, number

FACT_POINTS: Mapping[Any, float] = {True: 10.0, "partly": 5.0, False: 0.0}
NOT_CHECKED = "not checked"
CHECKS: Mapping[str, str] = {
    "refuses_boolean": "refuses `true` among numbers",
    "refuses_text": "refuses a text among numbers",
    "refuses_nan": "refuses NaN",
    "reports_location": "names the place of a fault in the body",
    "documents_schema": "describes its request in a machine-readable document",
}


@dataclass(frozen=True, slots=True)
class Part:
    """Points from 0 to 10 and what they rest on; None where the part does not apply and its share goes to the others."""

    points: float | None
    said: str


@dataclass(frozen=True)
class Candidate:
    """A way to serve the model. ``arm`` is the one of its arms that all its figures are of; None when none was measured."""

    name: str
    arm: str | None
    arms: Sequence[str]
    code: Sequence[str]


def candidates(results: Results, described: Mapping[str, Mapping[str, Any]]) -> list[Candidate]:
    """Each with the arm that is fastest over the models."""
    made = []
    for name, row in described.items():
        speed: dict[str, list[float]] = {}
        for model in summary.models(results):
            for line in _ranked(results, model):
                if line.arm in row["arms"]:
                    speed.setdefault(line.arm, []).append(line.speed)
        # An arm with a figure for more models goes before one that is faster on fewer.
        best = max(
            speed, key=lambda arm: (len(speed[arm]), statistics.geometric_mean(speed[arm])), default=None
        )
        made.append(Candidate(name, best, row["arms"], row.get("code", ())))
    return made


def _ranked(results: Results, model: str, **load: Any) -> list[Line]:
    return [line for line in summary.lines(results, model, **load) if line.standing == "ranked"]


@dataclass(frozen=True, slots=True)
class FigureRule:
    """``formula`` in words; ``values`` gives one value an arm and model, ``planned`` is in the keys of the cells it needs."""

    formula: str
    values: Callable[[Results, str], dict[str, float]]
    points: Callable[[float, float], float]
    planned: str = " 1r 64c main 1w"
    unit: str = ""
    least: bool = False


Values = Mapping[str, Mapping[str, float]]


def values_of(results: Results, rule: FigureRule, everyone: Sequence[Candidate]) -> Values:
    """Model -> arm -> value, for the arms that stand for a candidate."""
    arms = {c.arm for c in everyone}
    return {
        model: {arm: value for arm, value in rule.values(results, model).items() if arm in arms}
        for model in summary.models(results)
    }


def figure_part(results: Results, rule: FigureRule, candidate: Candidate, values: Values) -> Part:
    """The mean over the models of the points that the rule gives; the best value is that of any candidate."""
    if candidate.arm is None:
        return Part(0.0, _why_none(results, candidate))
    points, told = [], []
    for model, known in values.items():
        if candidate.arm in known:
            best = min(known.values()) if rule.least else max(known.values())
            points.append(rule.points(known[candidate.arm], best))
            told.append(f"{model} {number(known[candidate.arm])}")
    if points:
        return Part(statistics.mean(points), f"{', '.join(told)}{rule.unit}")
    keys = [*results.plan.get("cells", ()), *results.cells]
    if not any(key.startswith(f"{candidate.arm} ") and rule.planned in key for key in keys):
        return Part(None, "not part of the run for this arm")
    return Part(0.0, "not measured")


def _why_none(results: Results, candidate: Candidate) -> str:
    return "; ".join(
        f"{arm} {summary.standing(results, arm)}: {summary.reason(results, arm)}" for arm in candidate.arms
    )


def _best_share(value: float, best: float) -> float:
    return 10.0 * value / best if best else 0.0


def _least_share(value: float, least: float) -> float:
    return 10.0 * least / value if value else 10.0


def _gain(value: float, best: float) -> float:
    return 10.0 * min(1.0, max(0.0, value))


def _main(value: Callable[[Line], float | None]) -> Callable[[Results, str], dict[str, float]]:
    return lambda results, model: {
        ln.arm: v for ln in _ranked(results, model) if (v := value(ln)) is not None
    }


def _held(results: Results, model: str) -> dict[str, float]:
    at_64 = {line.arm: line.speed for line in _ranked(results, model)}
    many = _ranked(results, model, connections=1000, kind="side")
    return {ln.arm: min(1.0, ln.speed / at_64[ln.arm]) * ln.answered_share for ln in many if ln.arm in at_64}


def _second(results: Results, model: str) -> dict[str, float]:
    one = {line.arm: line.speed for line in _ranked(results, model)}
    two = _ranked(results, model, kind="two-workers", workers=2)
    return {line.arm: line.speed / one[line.arm] - 1 for line in two if line.arm in one}


def _starts(results: Results, model: str) -> dict[str, float]:
    found = {arm: summary.cold_start(results, arm, model) for arm in summary.arm_names(results)}
    return {arm: statistics.median(seconds) for arm, seconds in found.items() if seconds}


FIGURES: Mapping[str, FigureRule] = {
    "throughput": FigureRule(
        "10 × requests/s ÷ the best candidate's, one row, 64 connections",
        _main(lambda line: line.speed),
        _best_share,
        unit=" requests/s",
    ),
    "tail latency": FigureRule(
        "10 × the least p99 of a candidate ÷ its own, one row, 64 connections",
        _main(lambda line: line.latency("p99")),
        _least_share,
        unit=" ms",
        least=True,
    ),
    "processor time": FigureRule(
        "10 × the least CPU time of a candidate ÷ its own, for 1000 requests",
        _main(lambda line: median(line.cpu)),
        _least_share,
        unit=" s",
        least=True,
    ),
    "memory": FigureRule(
        "10 × the least memory of a candidate ÷ its own, whole process tree, one worker",
        _main(lambda line: median(line.memory)),
        _least_share,
        unit=" MiB",
        least=True,
    ),
    "cold start": FigureRule(
        "10 × the shortest start of a candidate ÷ its own", _starts, _least_share, unit=" s", least=True
    ),
    "holds at 1000 connections": FigureRule(
        "10 × (requests/s at 1000 connections ÷ at 64, at most 1) × the share of requests answered",
        _held,
        _gain,
        planned=" 1000c side ",
        unit=" of 1",
    ),
    "second worker": FigureRule(
        "10 × what a second worker adds, in workers (1 would be perfect)",
        _second,
        _gain,
        planned=" two-workers ",
        unit=" of 1",
    ),
}


def code_part(candidate: Candidate, half: float) -> Part:
    """10 × half ÷ (half + lines): lines that are neither blank nor comments, of the files that a user writes."""
    files = [PEERS / name for name in candidate.code]
    lost = [name for name, file in zip(candidate.code, files, strict=True) if not file.is_file()]
    if lost:
        return Part(0.0, f"{', '.join(lost)} is missing")
    lines = sum(_lines(file.read_text()) for file in files)
    return Part(10.0 * half / (half + lines), f"{lines} lines in {len(files)} files" if files else "no code")


def _lines(text: str) -> int:
    return sum(bool(line.strip()) and not line.lstrip().startswith(("#", "//")) for line in text.splitlines())


def check_part(results: Results, name: str, candidate: Candidate) -> Part:
    """10 points for a check that passed, none for one that failed or was not run."""
    found = results.arms.get(candidate.arm or "", {}).get("checks", {}).get(name)
    if found is None:
        return Part(0.0, NOT_CHECKED)
    return Part(10.0 if found else 0.0, "yes" if found else "no")


def fact_part(fact: Mapping[str, Any], candidate: Candidate) -> Part:
    """Points of a recorded fact; a candidate that it does not name gets none."""
    value, source = fact["holds"].get(candidate.name, (None, "not recorded"))
    if value is None:
        return Part(0.0, source)
    word = {True: "yes", False: "no"}.get(value, str(value))
    return Part(FACT_POINTS[value], f"{word}: {source}")
