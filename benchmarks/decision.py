"""Which framework, by these weights? ``docs/decision-record.md``, computed from figures, checks and recorded facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.decision_scores import (
    CHECKS,
    FACT_POINTS,
    FIGURES,
    NOT_CHECKED,
    Candidate,
    Part,
    Values,
    candidates,
    check_part,
    code_part,
    fact_part,
    figure_part,
    values_of,
)
from benchmarks.markdown_tables import table
from benchmarks.method import method, warnings
from benchmarks.results import Results
from benchmarks.wording import ABSENT, LABEL_ONLY, MARK_LABEL_ONLY, listed

WEIGHTS = Path(__file__).parent / "decision.yaml"
OWN_NAME = "Plumbline"
LINES_OF_CODE = "lines of code"
#: A difference of scores that no reader should decide by.
CLOSE = 0.3

Weights = Mapping[str, Any]


def load_weights(path: Path = WEIGHTS) -> Weights:
    """Read the weights, criteria and facts; raises ValueError where they name what does not exist."""
    weights: Weights = yaml.safe_load(path.read_text())
    check_weights(weights)
    return weights


def check_weights(weights: Weights) -> None:
    """Raises ValueError for weights without a criterion, unknown figures, checks and facts, and facts of other values."""
    if set(weights["weights"]) != set(weights["criteria"]):
        raise ValueError("every criterion needs a weight, and every weight a criterion")
    if any(w < 0 for w in weights["weights"].values()) or not sum(weights["weights"].values()):
        raise ValueError("weights are not negative, and not all zero")
    known = {"figure": {*FIGURES, LINES_OF_CODE}, "check": set(CHECKS), "fact": set(weights["facts"])}
    for criterion, parts in weights["criteria"].items():
        for part in parts:
            kind = next((k for k in known if k in part), None)
            if kind is None or part[kind] not in known[kind] or part.get("share", 0) <= 0:
                raise ValueError(f"{criterion}: no such part, or no share: {part}")
    for name, fact in weights["facts"].items():
        for candidate, (value, source) in fact["holds"].items():
            if value not in FACT_POINTS or not source:
                raise ValueError(f"{name}, {candidate}: true, partly or false, and a source")


@dataclass(frozen=True)
class Score:
    """A candidate's points: by criterion, in all, and what each part rests on."""

    candidate: Candidate
    parts: Mapping[str, Mapping[str, Part]]
    criteria: Mapping[str, float]
    total: float


def scores(results: Results, weights: Weights) -> list[Score]:
    """Every candidate, the highest total first."""
    everyone = candidates(results, weights["candidates"])
    values = {name: values_of(results, rule, everyone) for name, rule in FIGURES.items()}
    made = []
    for candidate in everyone:
        parts = {
            criterion: {_name(row): _part(results, weights, row, candidate, values) for row in rows}
            for criterion, rows in weights["criteria"].items()
        }
        by_criterion = {c: _mean(rows, parts[c]) for c, rows in weights["criteria"].items()}
        weight = weights["weights"]
        total = sum(weight[c] * points for c, points in by_criterion.items()) / sum(weight.values())
        made.append(Score(candidate, parts, by_criterion, total))
    return sorted(made, key=lambda score: -score.total)


def _name(row: Mapping[str, Any]) -> str:
    return str(row.get("figure") or row.get("check") or row.get("fact"))


def _part(
    results: Results, weights: Weights, row: Mapping[str, Any], one: Candidate, values: Mapping[str, Values]
) -> Part:
    name = _name(row)
    if name == LINES_OF_CODE:
        return code_part(one, float(row["half"]))
    if "figure" in row:
        return figure_part(results, FIGURES[name], one, values[name])
    return check_part(results, name, one) if "check" in row else fact_part(weights["facts"][name], one)


def _mean(rows: list[Mapping[str, Any]], parts: Mapping[str, Part]) -> float:
    """The mean of the parts that apply, by their shares."""
    counted = [(row["share"], points) for row in rows if (points := parts[_name(row)].points) is not None]
    return (
        sum(share * points for share, points in counted) / sum(share for share, _ in counted)
        if counted
        else 0.0
    )


def decision_record(results: Results, weights: Weights) -> str:
    """The whole page."""
    check_weights(weights)
    ranking = scores(results, weights)
    criteria = list(weights["weights"])
    blocks = [
        "# Decision record: a framework to serve models with",
        "<!-- Written by `make bench` from the result file and benchmarks/decision.yaml. Do not edit. -->",
        "Change the weights in `benchmarks/decision.yaml`, run `python -m benchmarks --only-report`, and this page follows.",
        "\n".join(f"- {sentence}" for sentence in method(results)[:2]),
        *(f"> **{caution.what}** {caution.why}" for caution in warnings(results)),
        "## Result",
        _result(ranking),
        _unchecked(ranking, weights),
        table(
            ("candidate", *(f"{c} ({weights['weights'][c]})" for c in criteria), "total of 10"),
            (
                [_shown(results, s), *(f"{s.criteria[c]:.1f}" for c in criteria), f"**{s.total:.2f}**"]
                for s in ranking
            ),
        ),
        f"{MARK_LABEL_ONLY} {LABEL_ONLY}: its figures are for less work than those of the others.",
        "## Where Plumbline loses",
        "\n".join(f"- {line}" for line in _losses(ranking, criteria)),
        "## How much the weights decide",
        *_sensitivity(ranking, weights),
        "## How the points are computed",
        *_formulas(weights),
        "## What each score rests on",
        *_evidence(ranking, criteria),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _shown(results: Results, score: Score) -> str:
    mark = MARK_LABEL_ONLY if results.arms.get(score.candidate.arm or "", {}).get("label_only") else ""
    name = f"**{score.candidate.name}**" if score.candidate.name == OWN_NAME else score.candidate.name
    return name + mark + ("" if score.candidate.arm else " (not measured)")


def _result(ranking: list[Score]) -> str:
    first = ranking[0]
    near = [s.candidate.name for s in ranking[1:] if first.total - s.total < CLOSE]
    text = f"By these weights **{first.candidate.name}** comes first with {first.total:.2f} of 10"
    text += (
        f". **It leads by {first.total - ranking[1].total:.2f}**, and {listed(near)} come within {CLOSE}: too close to decide by."
        if near
        else "."
    )
    own = next((i for i, s in enumerate(ranking) if s.candidate.name == OWN_NAME), None)
    if own:
        text += f" {OWN_NAME} is number {own + 1} of {len(ranking)} with {ranking[own].total:.2f}."
    return text


def _unchecked(ranking: list[Score], weights: Weights) -> str:
    """Whose points are missing only because nobody asked its server: a ranking must not hide behind that."""
    rows = [row for parts in weights["criteria"].values() for row in parts if "check" in row]
    names = {
        score.candidate.name
        for score in ranking
        for parts in score.parts.values()
        for row in rows
        if (part := parts.get(_name(row))) and part.said == NOT_CHECKED
    }
    if not names:
        return ""
    return f"> **Checks not run** for {listed(sorted(names))}: they get no points for those, deserved or not."


def _losses(ranking: list[Score], criteria: list[str]) -> Iterator[str]:
    """Every criterion and part in which another candidate has more points."""
    own = next((s for s in ranking if s.candidate.name == OWN_NAME), None)
    if own is None:
        return
    told = False
    for criterion in criteria:
        better = sorted(
            (s for s in ranking if s.criteria[criterion] > own.criteria[criterion]),
            key=lambda s: -s.criteria[criterion],
        )
        behind = []
        for name, part in own.parts[criterion].items():
            others = [
                (p, s.candidate.name) for s in ranking if (p := s.parts[criterion][name].points) is not None
            ]
            most, who = max(others, default=(0.0, ""))
            if part.points is not None and most > part.points:
                behind.append(f"{name} ({part.points:.1f}; {who} {most:.1f})")
        if better or behind:
            told = True
            names = [f"{s.candidate.name} ({s.criteria[criterion]:.1f})" for s in better]
            text = f"**{criterion}** ({own.criteria[criterion]:.1f}): " + (
                f"behind {listed(names)}. " if names else ""
            )
            yield text + (f"Not the best in {'; '.join(behind)}." if behind else "")
    if not told:
        yield "In nothing that is weighed here. Look at what is not weighed before you believe it."


def _sensitivity(ranking: list[Score], weights: Weights) -> Iterator[str]:
    def first(changed: Mapping[str, float]) -> str:
        total = sum(changed.values())
        best = max(ranking, key=lambda s: sum(changed[c] * s.criteria[c] for c in changed) / total)
        return best.candidate.name

    rows = []
    for criterion in weights["weights"]:
        alone = {c: float(c == criterion) for c in weights["weights"]}
        double = {c: w * (2 if c == criterion else 1) for c, w in weights["weights"].items()}
        without = {c: w * (c != criterion) for c, w in weights["weights"].items()}
        rows.append(
            [criterion, first(double), first(without) if sum(without.values()) else ABSENT, first(alone)]
        )
    yield table(
        ("criterion", "first if it counts double", "first without it", "first by it alone"), rows, left=4
    )


def _formulas(weights: Weights) -> Iterator[str]:
    yield (
        "Total = Σ weight × score ÷ Σ weight. A criterion's score is the mean of its parts by their shares. Figures are means "
        "over the models, all of one arm: the candidate's fastest. A figure that the run never planned for an arm is left out "
        "and its share goes to the other parts; a figure that failed, a wrong arm and a check that was not run give no points. "
        "Facts: yes 10, partly 5, no 0."
    )
    rows = []
    for criterion, parts in weights["criteria"].items():
        for row in parts:
            name = _name(row)
            if name == LINES_OF_CODE:
                said = f"figure: 10 × {row['half']} ÷ ({row['half']} + lines of code that a user writes)"
            elif "figure" in row:
                said = f"figure: {FIGURES[name].formula}"
            else:
                said = (
                    f"check: {CHECKS[name]}" if "check" in row else f"fact: {weights['facts'][name]['says']}"
                )
            rows.append([criterion, name, str(row["share"]), said])
    yield table(("criterion", "part", "share", "how"), rows, left=4)


def _evidence(ranking: list[Score], criteria: list[str]) -> Iterator[str]:
    for score in ranking:
        arm = f"arm `{score.candidate.arm}`" if score.candidate.arm else "no arm measured"
        yield f"### {score.candidate.name} ({arm})"
        rows = [
            [criterion, name, ABSENT if part.points is None else f"{part.points:.1f}", part.said]
            for criterion in criteria
            for name, part in score.parts[criterion].items()
        ]
        yield table(("criterion", "part", "points", "rests on"), rows, left=4)
