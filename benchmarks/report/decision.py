"""The decision record: which framework, by these weights, from figures, checks and recorded facts."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from benchmarks.environments import PEERS
from benchmarks.report.figures import LABEL_ONLY, Figures
from benchmarks.report.method import cautions, method
from benchmarks.report.text import ABSENT, listed, number, written
from benchmarks.results import Results

WEIGHTS = Path(__file__).parents[1] / "decision.yaml"
OWN = "Plumbline"
LINES_OF_CODE = "lines of code"
NOT_CHECKED = "not checked"
#: A difference of scores that no reader should decide by.
CLOSE = 0.3
FACT_POINTS: Mapping[Any, float] = {True: 10.0, "partly": 5.0, False: 0.0}
CHECKS = {
    "refuses_boolean": "refuses `true` among numbers",
    "refuses_text": "refuses a text among numbers",
    "refuses_nan": "refuses NaN",
    "reports_location": "names the place of a fault in the body",
    "documents_schema": "describes its request in a machine-readable document",
}
Weights = Mapping[str, Any]


#: Figure -> (unit of its value, how it becomes points).
FIGURES: Mapping[str, tuple[str, str]] = {
    "throughput": ("requests/s", "10 × requests/s ÷ the best candidate's, one row, 64 connections"),
    "tail latency": ("ms", "10 × the least p99 of a candidate ÷ its own, one row, 64 connections"),
    "processor time": ("s", "10 × the least CPU time of a candidate ÷ its own, for 1000 requests"),
    "memory": ("MiB", "10 × the least memory of a candidate ÷ its own, whole process tree, one worker"),
    "cold start": ("s", "10 × the shortest start of a candidate ÷ its own"),
    "holds at 1000 connections": (
        "of 1",
        "10 × (requests/s at 1000 connections ÷ at 64, at most 1) × the share of requests answered",
    ),
    "second worker": ("of 1", "10 × what a second worker adds, in workers (1 would be perfect)"),
}
#: Figure -> measure of the main load, for those that are compared with the best candidate's.
MAIN = {
    "throughput": "rate",
    "tail latency": "p99",
    "processor time": "cpu",
    "memory": "memory",
    "cold start": "start",
}
#: The load that each other figure needs; an arm that no run plans it for is not scored by it.
NEEDS = {"holds at 1000 connections": " 1000c side ", "second worker": " two-workers "}


def load_weights(path: Path = WEIGHTS) -> Weights:
    """The weights, criteria and facts of the file; raises ValueError where they name what does not exist."""
    weights: Weights = yaml.safe_load(path.read_text())
    check_weights(weights)
    return weights


def check_weights(weights: Weights) -> None:
    """Raises ValueError for weights without a criterion, unknown parts, and facts of other values."""
    if set(weights["weights"]) != set(weights["criteria"]):
        raise ValueError("every criterion needs a weight, and every weight a criterion")
    if any(w < 0 for w in weights["weights"].values()) or not sum(weights["weights"].values()):
        raise ValueError("weights are not negative, and not all zero")
    known = {"figure": {*FIGURES, LINES_OF_CODE}, "check": set(CHECKS), "fact": set(weights["facts"])}
    for criterion, part in _parts(weights):
        kind, name = _kind(part)
        if name not in known[kind] or part.get("share", 0) <= 0:
            raise ValueError(f"{criterion}: no such part, or no share: {part}")
    for name, fact in weights["facts"].items():
        for candidate, (value, source) in fact["holds"].items():
            if value not in FACT_POINTS or not source:
                raise ValueError(f"{name}, {candidate}: true, partly or false, and a source")


def points(figures: Figures, weights: Weights) -> pd.DataFrame:
    """A row for each part of each candidate: its share, its points of 10 and what they rest on (``said``).

    arm: the fastest of the candidate's arms; empty where none was measured.
    points: NaN where the part does not apply to the candidate.
    """
    arms = {name: _fastest(figures, row["arms"]) for name, row in weights["candidates"].items()}
    values = {name: _values(figures, name, [arm for arm in arms.values() if arm]) for name in FIGURES}
    rows = []
    for candidate, row in weights["candidates"].items():
        for criterion, part in _parts(weights):
            kind, name = _kind(part)
            scored: tuple[float | None, str]
            if name == LINES_OF_CODE:
                scored = _code(row.get("code", ()), float(part["half"]))
            elif kind == "figure":
                scored = _figure(figures, name, arms[candidate], row["arms"], values[name])
            elif kind == "check":
                passed = figures.results.arms.get(arms[candidate], {}).get("checks", {}).get(name)
                scored = (10.0 * bool(passed), {True: "yes", False: "no"}.get(passed, NOT_CHECKED))
            else:
                value, source = weights["facts"][name]["holds"].get(candidate, (False, "not recorded"))
                scored = (FACT_POINTS[value], f"{'yes' if value is True else value or 'no'}: {source}")
            rows.append((candidate, arms[candidate], criterion, kind, name, part["share"], *scored))
    columns = ["candidate", "arm", "criterion", "kind", "part", "share", "points", "said"]
    return pd.DataFrame(rows, columns=columns)


def totals(parts: pd.DataFrame, weights: Mapping[str, float]) -> pd.DataFrame:
    """Candidate by criterion (the mean of its parts, by share), and ``total``; the highest first."""
    counted = parts.dropna(subset=["points"])
    counted = counted.assign(weighed=counted.points * counted.share).groupby(
        ["candidate", "criterion"], sort=False
    )
    scores = (counted.weighed.sum() / counted.share.sum()).unstack()[list(weights)]
    total = (scores * pd.Series(weights)).sum(axis=1) / sum(weights.values())
    return scores.assign(total=total).sort_values("total", ascending=False, kind="stable")


def decision_record(results: Results, weights: Weights) -> str:
    """The whole page."""
    check_weights(weights)
    figures = Figures(results)
    parts = points(figures, weights)
    ranking = totals(parts, weights["weights"])
    unchecked = parts[parts.said == NOT_CHECKED].candidate.unique()
    near = ranking.index[(ranking.total > ranking.total.iloc[0] - CLOSE)][1:]
    arms = parts.drop_duplicates("candidate").set_index("candidate").arm.to_dict()
    return written(
        "decision-record.md",
        method=method(figures)[:2],
        cautions=cautions(figures),
        ranking=ranking,
        weights=weights["weights"],
        arms=arms,
        marks={name: figures.arms.mark[arm] for name, arm in arms.items() if arm},
        near=listed(near) if len(near) else "",
        close=CLOSE,
        own=OWN,
        unchecked=listed(sorted(unchecked)) if len(unchecked) else "",
        losses=list(_losses(parts, ranking)),
        sensitivity=_sensitivity(ranking.drop(columns="total"), weights["weights"]),
        formulas=[[criterion, *_how(weights, part)] for criterion, part in _parts(weights)],
        parts=parts.assign(points=[ABSENT if p != p else f"{p:.1f}" for p in parts.points]),
        label_only=LABEL_ONLY,
    )


def _parts(weights: Weights) -> Iterator[tuple[str, Mapping[str, Any]]]:
    return ((criterion, part) for criterion, parts in weights["criteria"].items() for part in parts)


def _kind(part: Mapping[str, Any]) -> tuple[str, str]:
    kind = next((k for k in ("figure", "check", "fact") if k in part), "figure")
    return kind, str(part.get(kind))


def _fastest(figures: Figures, arms: list[str]) -> str:
    """The arm with figures for most models, and of those the fastest; empty where none was measured."""
    main = figures.cells[(figures.cells.kind == "main") & (figures.cells.standing == "ranked")]
    rates = main[main.arm.isin(arms)].groupby("arm").rate.agg(list)
    return max(rates.index, key=lambda a: (len(rates[a]), statistics.geometric_mean(rates[a])), default="")


def _values(figures: Figures, name: str, arms: list[str]) -> pd.DataFrame:
    """A figure of each of these arms (rows) for each model (columns)."""
    by_model = {}
    for model in figures.models:
        main = figures.ranked(model).set_index("arm")
        if name in MAIN:
            by_model[model] = main[MAIN[name]]
        elif name == "second worker":
            two = figures.ranked(model, kind="two-workers", workers=2).set_index("arm").rate
            by_model[model] = two / main.rate - 1
        else:
            many = figures.ranked(model, connections=1000, kind="side").set_index("arm")
            by_model[model] = (many.rate / main.rate).clip(upper=1.0) * many.answered_share
    return pd.DataFrame(by_model).reindex(arms).astype(float)


def _figure(
    figures: Figures, name: str, arm: str, arms: list[str], values: pd.DataFrame
) -> tuple[float | None, str]:
    """The mean over the models of what the rule gives; the best value is that of any candidate."""
    if not arm:
        about = figures.arms.loc[arms]
        return 0.0, "; ".join(
            f"{a} {s}: {w}" for a, s, w in zip(arms, about.standing, about.why, strict=True)
        )
    own = values.loc[arm].dropna()
    if own.empty:
        load = NEEDS.get(name, " 64c main 1w")
        planned = any(key.startswith(f"{arm} ") and load in key for key in figures.keys)
        return (0.0, "not measured") if planned else (None, "not part of the run for this arm")
    if name in NEEDS:
        shares = own.clip(0.0, 1.0)
    else:
        shares = own / values.max() if name == "throughput" else values.min() / own
    told = ", ".join(f"{model} {number(value)}" for model, value in own.items())
    return 10.0 * shares.mean(), f"{told} {FIGURES[name][0]}"


def _code(names: list[str], half: float) -> tuple[float, str]:
    """10 × half ÷ (half + lines) for the files that a user writes, without blank lines and comments."""
    lost = [name for name in names if not (PEERS / name).is_file()]
    if lost:
        return 0.0, f"{', '.join(lost)} is missing"
    text = [line.strip() for name in names for line in (PEERS / name).read_text().splitlines()]
    lines = sum(bool(line) and not line.startswith(("#", "//")) for line in text)
    return 10.0 * half / (half + lines), f"{lines} lines in {len(names)} files" if names else "no code"


def _losses(parts: pd.DataFrame, ranking: pd.DataFrame) -> Iterator[str]:
    """Every criterion and part in which another candidate has more points."""
    if OWN not in ranking.index:
        return
    most = parts.sort_values(["points", "candidate"], ascending=False)
    for criterion in ranking.columns.drop("total"):
        scores = ranking[criterion]
        better = scores[scores > scores[OWN]].sort_values(ascending=False, kind="stable")
        behind = []
        for part in parts[(parts.candidate == OWN) & (parts.criterion == criterion)].itertuples():
            best = most[most.part == part.part].iloc[0]
            if best.points > part.points:
                behind.append(f"{part.part} ({part.points:.1f}; {best.candidate} {best.points:.1f})")
        if len(better) or behind:
            ahead = f"behind {listed(f'{n} ({s:.1f})' for n, s in better.items())}. " if len(better) else ""
            lost = f"Not the best in {'; '.join(behind)}." if behind else ""
            yield f"**{criterion}** ({scores[OWN]:.1f}): {ahead}{lost}"


def _sensitivity(scores: pd.DataFrame, weights: Mapping[str, float]) -> Iterator[list[str]]:
    """For each criterion, who comes first if it counts double, not at all, and alone."""
    for criterion in weights:
        double, without = ({**weights, criterion: weights[criterion] * k} for k in (2, 0))
        changed: list[Mapping[str, float]] = [double, without, {**dict.fromkeys(weights, 0), criterion: 1}]
        first = [(scores * pd.Series(w)).sum(axis=1).idxmax() if sum(w.values()) else ABSENT for w in changed]
        yield [criterion, *first]


def _how(weights: Weights, part: Mapping[str, Any]) -> list[str]:
    """A part's name, share and how its points are computed."""
    kind, name = _kind(part)
    if name == LINES_OF_CODE:
        said = f"10 × {part['half']} ÷ ({part['half']} + lines of code that a user writes)"
    elif kind == "figure":
        said = FIGURES[name][1]
    else:
        said = CHECKS[name] if kind == "check" else weights["facts"][name]["says"]
    return [name, str(part["share"]), f"{kind}: {said}"]
