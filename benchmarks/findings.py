"""What do the figures say, in sentences? Written from the numbers, and as plainly where this project loses.

Two rates differ when the 95 % interval of their quotient leaves 1 out; otherwise the sentence says that the intervals do
not tell them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks import summary
from benchmarks.plan import GOAL_CONNECTIONS, GOAL_RATE
from benchmarks.results import Figure, Results
from benchmarks.summary import GOAL_P99_MS, MODEL_TITLES, MODEL_WORDS, OWN, Line
from benchmarks.wording import listed, median, named, number, percent, times, with_interval

Verdict = Literal["ahead", "behind", "level", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence, and for whom it speaks: this project is ahead, behind, level, or the sentence ranks nobody."""

    verdict: Verdict
    text: str


def findings(results: Results) -> list[Finding]:
    """Every finding, throughput first."""
    if summary.standing(results, OWN) != "ranked":
        why = f"{summary.standing(results, OWN)}: {summary.reason(results, OWN)}"
        return [
            Finding("note", f"{OWN} has no figures here ({why}), so nothing is compared with it."),
            *_goals(results),
        ]
    return [
        *(f for model in summary.models(results) for f in _throughput(results, model)),
        *_many_rows(results),
        *_lower_is_better(results),
        *_goals(results),
        *_floor(results),
        *_failures(results),
    ]


def verdict(figure: Figure) -> Verdict:
    """What a ratio (another arm's rate for this project's) says of this project."""
    return "behind" if figure.low > 1 else "ahead" if figure.high < 1 else "level"


def _throughput(results: Results, model: str) -> Iterator[Finding]:
    ranked = [line for line in summary.lines(results, model) if line.standing == "ranked"]
    own = next((line for line in ranked if line.arm == OWN), None)
    if own is None:
        yield Finding("note", f"{MODEL_TITLES[model]}: {OWN} was not measured at 64 connections.")
        return
    others = [line for line in ranked if line.arm != OWN]
    if not others:
        yield Finding(
            "note", f"{MODEL_TITLES[model]}: {with_interval(own.rate)} requests/s; no other arm yet."
        )
        return
    place = ranked.index(own) + 1
    text = f"{MODEL_TITLES[model]}, one row, 64 connections: {OWN} answers {with_interval(own.rate)} requests/s, "
    text += f"place {place} of {len(ranked)}. "
    groups = {
        v: [line for line in others if line.ratio and verdict(line.ratio) == v] for v in ("behind", "level")
    }
    if groups["behind"]:
        text += f"It loses to {listed([f'{named(ln)} ({times(ln.ratio)})' for ln in groups['behind']])}. "
    if groups["level"]:
        text += f"The intervals do not tell it from {listed([named(line) for line in groups['level']])}. "
    if not groups["behind"] and not groups["level"]:
        first = others[0]
        text += f"The next is {named(first)} with {with_interval(first.rate)} ({times(first.ratio)}). "
    told: Verdict = "behind" if groups["behind"] else "level" if groups["level"] else "ahead"
    if own.rate.repeats < 2:
        text += "One repeat only, so there are no intervals. "
        told = "note"
    awaited = summary.awaited(results, model)
    if awaited:
        text += f"Not measured yet at this load: {listed(awaited)}. "
        told = "note"
    yield Finding(told, text.strip())


def _many_rows(results: Results) -> Iterator[Finding]:
    """Other loads of the closed loop, in one sentence each where this project is not the first."""
    loads = [("at 1 connection", 1, 1), ("at 1,000 connections", 1, 1000)]
    loads += [("with 16 rows a request", 16, 64), ("with 256 rows a request", 256, 64)]
    for words, rows, connections in loads:
        lost, first, seen, level = [], [], [], []
        for model in summary.models(results):
            found = summary.lines(results, model, connections, "side", rows=rows)
            ranked = [line for line in found if line.standing == "ranked" and line.ratio]
            if len(ranked) < 2:
                continue
            seen.append(model)
            better = [line for line in ranked if line.arm != OWN and line.ratio and line.ratio.low > 1]
            if better:
                best = better[0]
                lost.append(
                    f"{MODEL_WORDS[model]} to {len(better)} of {len(ranked) - 1} (most to {named(best)}, {times(best.ratio)})"
                )
            else:
                first.append(model)
            level += [
                f"{named(line)} ({MODEL_WORDS[model]})"
                for line in ranked
                if line.arm != OWN and line.ratio and verdict(line.ratio) == "level"
            ]
        untold = f" The intervals do not tell it from {listed(level)}." if level else ""
        if lost:
            rest = f"; nobody is ahead for {listed([MODEL_WORDS[m] for m in first])}" if first else ""
            yield Finding(
                "behind", f"{words[0].upper()}{words[1:]}, {OWN} loses {'; '.join(lost)}{rest}.{untold}"
            )
        elif seen:
            text = f"{words[0].upper()}{words[1:]}, no arm is ahead of {OWN} for {listed([MODEL_WORDS[m] for m in seen])}."
            yield Finding("level" if level else "ahead", text + untold)


def _lower_is_better(results: Results) -> Iterator[Finding]:
    """CPU, memory, tail latency and cold start of the main load, summed up over the models."""

    def starts(line: Line) -> float | None:
        found = summary.cold_start(results, line.arm, str(line.cell["model"]))
        return sorted(found)[len(found) // 2] if found else None

    figures: list[tuple[str, str, Callable[[Line], float | None]]] = [
        ("Latency p99 at 64 connections", "ms", lambda line: line.latency("p99")),
        ("CPU for 1000 requests", "s", lambda line: median(line.cpu)),
        ("Memory of the process tree", "MiB", lambda line: median(line.memory)),
        ("Cold start", "s", starts),
    ]
    for name, unit, value in figures:
        parts, places = [], []
        for model in summary.models(results):
            ranked = [line for line in summary.lines(results, model) if line.standing == "ranked"]
            known = sorted((v, named(line)) for line in ranked if (v := value(line)) is not None)
            own = next((v for v, arm in known if arm == OWN), None)
            if own is None or len(known) < 2:
                continue
            places.append([arm for _, arm in known].index(OWN) + 1)
            said = f"{MODEL_WORDS[model]} {number(own)} {unit}, place {places[-1]} of {len(known)}"
            parts.append(said + (f" (least: {known[0][1]}, {number(known[0][0])})" if places[-1] > 1 else ""))
        if parts:
            told: Verdict = "ahead" if max(places) == 1 else "behind"
            yield Finding(told, f"{name}: {'; '.join(parts)}.")


def _goals(results: Results) -> Iterator[Finding]:
    """The service goal: so many requests a second, p99 under 100 ms."""
    for model in summary.models(results):
        found = [line for line in summary.goal_lines(results, model) if line.standing == "ranked"]
        if not found:
            continue
        meet = [named(line) for line in found if meets_goal(line)]
        fail = [f"{named(ln)} ({_goal_figures(ln)})" for ln in found if not meets_goal(ln)]
        text = f"Service goal ({GOAL_RATE:,.0f} requests/s over {GOAL_CONNECTIONS:,} connections, "
        text += f"p99 below {GOAL_P99_MS:.0f} ms, {MODEL_WORDS[model]}): met by {listed(meet)}"
        text += f"; missed by {listed(fail)}." if fail else "."
        told: Verdict = "ahead" if OWN in meet else "behind" if any(ln.arm == OWN for ln in found) else "note"
        yield Finding(told, text)


def meets_goal(line: Line) -> bool:
    """Whether an arm answered what was offered, quickly enough."""
    return line.answered_share >= 0.999 and line.latency("p99") < GOAL_P99_MS


def _goal_figures(line: Line) -> str:
    return f"p99 {number(line.latency('p99'))} ms, {percent(line.answered_share)} answered"


def _floor(results: Results) -> Iterator[Finding]:
    """How much of what the stack could do without a model is left."""
    found = {line.arm: line for line in summary.lines(results, "lr")}
    if OWN in found:
        parts = [
            f"{percent(found[OWN].speed / found[floor].speed)} of {floor} ({number(found[floor].speed)}/s)"
            for floor in found
            if found[floor].standing == "floor"
        ]
        if parts:
            yield Finding(
                "note",
                f"With logistic regression, {OWN} reaches {listed(parts)}: the rest is what it does for a request.",
            )


def _failures(results: Results) -> Iterator[Finding]:
    """Requests that got no answer, over all loads."""
    shares = failures(results)
    own = next((f for f in shares if f.arm == OWN), None)
    if own and (own.errors or own.timeouts):
        text = f"{OWN} left {own.errors:,} errors and {own.timeouts:,} time-outs in {own.sent:,} requests."
        yield Finding("behind", text)
    elif own:
        yield Finding("note", f"{len(own.broken)} loads of {OWN} have no figure: {own.broken[0]}.")
    elif any(c["arm"] == OWN for c in results.cells.values()):
        others = f"; {len(shares)} other arms did not" if shares else ""
        yield Finding(
            "ahead", f"{OWN} answered every request of every load: no error and no time-out{others}."
        )


@dataclass(frozen=True, slots=True)
class Failures:
    """What an arm failed to answer over all its loads. ``loads`` are the cells with any, the worst first."""

    arm: str
    sent: int
    errors: int
    timeouts: int
    loads: Sequence[tuple[str, int, int, int]]
    broken: Sequence[str]

    @property
    def share(self) -> float:
        """Failed requests for each that was sent or due."""
        return (self.errors + self.timeouts) / self.sent if self.sent else 1.0


def failures(results: Results) -> list[Failures]:
    """The arms with an error, a time-out or a load that did not finish, the worst first."""
    found = []
    for arm in summary.arm_names(results):
        loads, sent, broken = [], 0, []
        for key, cell in results.cells.items():
            if cell["arm"] != arm:
                continue
            load = key.partition(" ")[2]
            errors, timeouts = (
                sum(int(r.get(n, 0)) for r in cell["repeats"]) for n in ("errors", "timeouts")
            )
            due = sum(int(r.get("answered", 0)) for r in cell["repeats"]) + errors + timeouts
            sent += due
            broken += [f"{load}: {r['failed']}" for r in cell["repeats"] if r.get("failed")]
            if errors or timeouts:
                loads.append((load, errors, timeouts, due))
        if loads or broken:
            loads.sort(key=lambda one: -(one[1] + one[2]) / one[3])
            errors, timeouts = sum(one[1] for one in loads), sum(one[2] for one in loads)
            found.append(Failures(arm, sent, errors, timeouts, loads, list(dict.fromkeys(broken))))
    return sorted(found, key=lambda one: -one.share)
