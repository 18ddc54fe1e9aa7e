"""Which plots does the report have, and what do they not show?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import summary
from benchmarks.plan import GOAL_CONNECTIONS, GOAL_RATE
from benchmarks.report_drawings import (
    HALF,
    WIDE,
    Drawing,
    closed_curves,
    costs,
    failed,
    figures,
    goal,
    goal_curves,
    offered,
    throughput,
    two_workers,
)
from benchmarks.results import Results
from benchmarks.summary import GOAL_P99_MS


@dataclass(frozen=True)
class Section:
    """Plots of one question, and what they leave open."""

    id: str
    title: str
    intro: str
    figures: Sequence[Drawing]
    hidden: str
    pair: bool = False
    key: bool = False


def sections(results: Results) -> list[Section]:
    """In reading order."""
    models = summary.models(results)
    return [
        Section(
            "throughput",
            "Throughput",
            "Requests/s at 64 connections, one row a request, with the 95 % interval; behind it the ratio to plumbline.",
            [d for m in models if (d := throughput(results, m, WIDE))],
            "What a client waits for at less than full load: at its maximum every server has a queue. One machine, one core, "
            "the loopback interface, and models that are small. Floors were asked with the request of the logistic regression.",
            key=True,
        ),
        Section(
            "connections",
            "1 and 1000 connections",
            "Requests/s where nothing can be batched, and where everything can.",
            [
                d
                for m in models
                for c in (1, 1000)
                if (d := throughput(results, m, HALF, connections=c, kind="side"))
            ],
            "At 1 connection the figure is the latency turned round; the generator's own share is in it. At 1000 connections "
            "it does not show how unevenly they are served: see the time-outs.",
            pair=True,
            key=True,
        ),
        Section(
            "rows",
            "Many rows a request",
            "Rows/s at 64 connections with 16 and 256 rows a request.",
            [
                d
                for m in models
                for r in (16, 256)
                if (d := throughput(results, m, HALF, rows=r, kind="side"))
            ],
            "Reading and checking the numbers weighs most here, so this compares parsers as much as servers. Protocols that "
            "carry one row only are missing.",
            pair=True,
            key=True,
        ),
        Section(
            "percentiles",
            "Latency percentiles",
            "The arms that a reader would pick from. Each line ends where fewer than one request of a repeat was slower.",
            [*goal_curves(results, models), *(d for m in models if (d := closed_curves(results, m)))],
            "Closed loops show what clients see of a server that is driven as fast as it goes; a stall is counted once, not for "
            "every request that would have come meanwhile. The curves at the goal's rate count those too.",
            pair=True,
        ),
        Section(
            "load",
            "Latency against offered load",
            "25, 50, 75 and 90 % of the arm's own maximum, sent at fixed moments. The ring is the knee: the highest of these "
            "loads with 99 % answered and p99 within three times that of the lowest.",
            [d for m in models for q in ("p50", "p99") if (d := offered(results, m, q))],
            "Four loads make a coarse curve: the knee lies somewhere between the ring and the next point. Requests are evenly "
            "spaced; real arrivals come in bursts.",
            pair=True,
        ),
        Section(
            "goal",
            "The service goal",
            f"{GOAL_RATE:,.0f} requests/s due over {GOAL_CONNECTIONS:,} connections; p99 is to stay below {GOAL_P99_MS:.0f} ms.",
            [d for m in models if (d := goal(results, m))],
            "Whether an arm would meet it with more cores: this is one worker on one core.",
            pair=True,
        ),
        Section(
            "failures",
            "Errors and time-outs",
            "Over all loads and repeats, counted and never dropped.",
            failed(results),
            "Answers that were late but came. A wrong answer would show as a wrong arm: answers are checked before the loads.",
        ),
        Section(
            "cost",
            "CPU, memory and cold start",
            "CPU seconds of the whole process tree for 1000 requests at 64 connections; memory of the tree after that load "
            "(PSS: shared pages counted once); seconds from starting the process to its first correct answer.",
            [d for m in models for d in costs(results, m)],
            "Memory grows with workers and models, and no limit was set. A cold start here finds its files in the page cache.",
            pair=True,
            key=True,
        ),
        Section(
            "workers",
            "Two workers",
            "Nothing pinned: two server processes and the generator share the machine.",
            two_workers(results, models),
            "Scaling as such: on a machine with two cores the generator takes from the servers what it needs.",
        ),
        Section(
            "table",
            "All figures at 64 connections",
            "One row a request. A click on a heading sorts.",
            [d for m in models if (d := figures(results, m))],
            "Differences smaller than the intervals. p99.9 of five seconds of a slow arm rests on few requests.",
        ),
    ]
