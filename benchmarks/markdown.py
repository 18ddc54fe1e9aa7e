"""How does the comparison read on the repository page? ``RESULTS.md``, with every number taken from the result file."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import summary, wording
from benchmarks.findings import failures, findings
from benchmarks.markdown_tables import goal, name, open_loop, other_loads, own_headers, table, two_workers
from benchmarks.method import LEGEND, about_arm, gaps, method, warnings
from benchmarks.results import Results
from benchmarks.summary import MODEL_TITLES, OWN, Line
from benchmarks.wording import MARK_DOUBTFUL, MARK_LABEL_ONLY, median, number, percent, times, with_interval

SIGNS = {"ahead": "**+**", "behind": "**−**", "level": "**=**", "note": "·"}


def markdown(results: Results) -> str:
    """The whole page."""
    blocks = [
        "# The comparison, measured",
        "<!-- Written by `make bench` from the result file. Do not edit: the next run overwrites it. -->",
        "\n\n".join(f"> **{caution.what}** {caution.why}" for caution in warnings(results)),
        "## What was measured",
        "\n".join(f"- {sentence}" for sentence in method(results)),
        "## Findings",
        f"{SIGNS['ahead']} {OWN} is ahead or meets the goal, {SIGNS['behind']} it loses, {SIGNS['level']} not told apart.",
        "\n".join(f"- {SIGNS[f.verdict]} {f.text}" for f in findings(results)),
        "## One row a request, 64 connections",
        LEGEND,
        *(b for model in summary.models(results) for b in _model(results, model)),
        *other_loads(results),
        *open_loop(results),
        *goal(results),
        *two_workers(results),
        *own_headers(results),
        *_start_and_memory(results),
        *_failed(results),
        *_absent(results),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _model(results: Results, model: str) -> Iterator[str]:
    found = summary.lines(results, model)
    yield f"### {MODEL_TITLES[model]}"
    if not found:
        yield "No arm has a figure for this load yet."
        return
    head = ("arm", "requests/s", f"ratio to {OWN}", "p50 ms", "p99 ms", "CPU s / 1000", "memory MiB")
    yield table(head, map(_row, found))
    remarks = [f"{line.arm}: {', '.join(line.remarks)}" for line in found if line.remarks]
    if remarks:
        yield f"{MARK_DOUBTFUL} {'; '.join(remarks)}."
    if any(line.own is None for line in found):
        yield f"{OWN} has no figure for this load, so there are no ratios."


def _row(line: Line) -> list[str]:
    gap = f" [{wording.interval(line.ratio)}]" if line.arm != OWN and wording.interval(line.ratio) else ""
    return [
        name(line),
        with_interval(line.rate),
        times(line.ratio) + gap,
        number(line.latency("p50")),
        number(line.latency("p99")),
        number(median(line.cpu)),
        number(median(line.memory)),
    ]


def _start_and_memory(results: Results) -> Iterator[str]:
    models = summary.models(results)
    rows = [
        [arm + (MARK_LABEL_ONLY if results.arms[arm].get("label_only") else "")]
        + [wording.spread(s) for s in starts]
        for arm in summary.arm_names(results)
        if summary.standing(results, arm) in ("ranked", "floor")
        and any(starts := [summary.cold_start(results, arm, m) for m in models])
    ]
    if rows:
        yield "## Cold start"
        yield "Seconds from starting the process to its first correct answer, least and most over the starts."
        yield table(("arm", *models), rows)


def _failed(results: Results) -> Iterator[str]:
    yield "## Errors and time-outs"
    found = failures(results)
    if not found:
        yield "Every request of every load was answered."
        return
    rows = [
        [
            f.arm,
            f"{f.sent:,}",
            f"{f.errors:,}",
            f"{f.timeouts:,}",
            percent(f.share),
            "; ".join([load[0] for load in f.loads[:3]] + list(f.broken[:2])),
        ]
        for f in found
    ]
    yield table(("arm", "requests", "errors", "time-outs", "share", "worst loads"), rows)


def _absent(results: Results) -> Iterator[str]:
    yield "## Wrong, or not measured"
    absent = summary.unranked(results)
    if absent:
        yield table(("arm", "standing", "why"), absent, left=3)
    else:
        yield "None: every arm was measured and answers rightly."
    missing = gaps(results)
    if missing:
        yield "### Missing cells of the other arms"
        yield "By model: rows (r), connections (c), kind of load."
        yield "\n".join(f"- {arm}: {loads}" for arm, loads in missing)
    yield "## The arms"
    rows = []
    for arm in summary.arm_names(results):
        about = about_arm(results, arm)
        digest = f"`{about['digest']}`" if about["digest"] else wording.ABSENT
        rows.append([arm, about["form"], about["note"], digest])
    yield table(("arm", "form", "what it is", "digest of its files"), rows, left=4)
