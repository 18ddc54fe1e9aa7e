"""How do the tables of RESULTS.md beyond the main load look: other loads, open loop, service goal, two workers, own headers?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from benchmarks import summary, wording
from benchmarks.findings import meets_goal
from benchmarks.plan import GOAL_CONNECTIONS, GOAL_RATE, HIGH_CONNECTIONS, HIGH_RATE, OPEN_SHARES
from benchmarks.results import Results
from benchmarks.summary import GOAL_P99_MS, MODEL_TITLES, OWN, Line
from benchmarks.wording import MARK_DOUBTFUL, median, number, percent, times, with_interval


def table(head: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """A Markdown table; the first ``left`` columns are words, the others figures."""
    lines = [head, ["---"] * left + ["---:"] * (len(head) - left), *rows]
    return "\n".join("| " + " | ".join(escaped(cell) for cell in row) + " |" for row in lines)


def escaped(cell: str) -> str:
    """Text that cannot end its cell or begin a tag: reasons come from other programs."""
    return " ".join(cell.split()).replace("|", "\\|").replace("<", "&lt;")


def name(line: Line) -> str:
    """An arm's name with its signs."""
    shown = (
        f"**{line.arm}**"
        if line.arm == OWN
        else f"*{line.arm}* (floor)"
        if line.standing == "floor"
        else line.arm
    )
    return shown + wording.marks(line)


def other_loads(results: Results) -> Iterator[str]:
    """1 and 1000 connections, 16 and 256 rows: one table a model."""
    loads = {
        "1 connection": (1, 1),
        "1,000 connections": (1, 1000),
        "16 rows": (16, 64),
        "256 rows": (256, 64),
    }
    yield "## Other loads of the closed loop"
    yield "Requests/s and ratio at 1 and 1000 connections; **rows**/s and ratio at 64 connections with 16 and 256 rows."
    for model in summary.models(results):
        columns = {
            name: {ln.arm: ln for ln in summary.lines(results, model, connections, "side", rows=rows)}
            for name, (rows, connections) in loads.items()
        }
        seen: dict[str, Line] = {arm: line for column in columns.values() for arm, line in column.items()}
        if not seen:
            continue
        yield f"### {MODEL_TITLES[model]}: other loads"
        order = [arm for arm in summary.arm_names(results) if arm in seen]
        yield table(
            ("arm", *loads),
            (
                [_name_any(seen[arm]), *(_cell(column.get(arm)) for column in columns.values())]
                for arm in order
            ),
        )


def _name_any(line: Line) -> str:
    """An arm's name in a table of several loads: doubt is marked at the figure instead."""
    return name(line).replace(MARK_DOUBTFUL, "")


def _cell(line: Line | None) -> str:
    if line is None:
        return wording.ABSENT
    doubt = MARK_DOUBTFUL if line.remarks else ""
    return f"{number(line.speed * line.cell['rows'])}{doubt} ({times(line.ratio)})"


def open_loop(results: Results) -> Iterator[str]:
    """Latency against the offered load, with each knee."""
    yield "## Latency at a fixed arrival rate"
    yield "p50 / p99 in ms, from the moment a request was due, at shares of the arm's own maximum; in brackets what was offered."
    for model in summary.models(results):
        columns = [
            {ln.arm: ln for ln in summary.lines(results, model, 64, "open", share=share)}
            for share in OPEN_SHARES
        ]
        order = [arm for arm in summary.arm_names(results) if any(arm in column for column in columns)]
        if not order:
            continue
        rows = []
        for arm in order:
            found = [column.get(arm) for column in columns]
            known = [line for line in found if line]
            bend = summary.knee(known)
            carried = f"{number(bend.offered)}/s" if bend else "below the lowest"
            rows.append([_name_any(known[0]), *map(_open_cell, found), carried])
        yield f"### {MODEL_TITLES[model]}: open loop"
        yield table(("arm", *(f"{share:.0%}" for share in OPEN_SHARES), "knee"), rows)
    yield "The knee is the highest of these loads with 99 % answered and p99 within three times that of the lowest."


def _open_cell(line: Line | None) -> str:
    if line is None:
        return wording.ABSENT
    lost = f", {percent(line.answered_share)} answered" if line.answered_share < 1 else ""
    doubt = MARK_DOUBTFUL if line.remarks else ""
    return f"{number(line.latency('p50'))} / {number(line.latency('p99'))}{doubt} ({number(line.offered)}/s{lost})"


def goal(results: Results) -> Iterator[str]:
    """Who meets the service goal, and who holds at a rate that is too high for most."""
    for title, rate, connections in (
        ("The service goal", GOAL_RATE, GOAL_CONNECTIONS),
        ("A high rate", HIGH_RATE, HIGH_CONNECTIONS),
    ):
        rows = [
            _goal_row(model, line)
            for model in summary.models(results)
            for line in sorted(
                summary.goal_lines(results, model, rate, connections), key=lambda ln: ln.latency("p99")
            )
        ]
        if rows:
            yield f"## {title}"
            yield f"{rate:,.0f} requests/s due over {connections:,} connections, p99 below {GOAL_P99_MS:.0f} ms."
            yield table(("model", "arm", "answered", "p50 ms", "p99 ms", "memory MiB", "met"), rows, left=2)


def _goal_row(model: str, line: Line) -> list[str]:
    return [
        model,
        name(line),
        percent(line.answered_share),
        number(line.latency("p50")),
        number(line.latency("p99")),
        number(median(line.memory)),
        ("yes" if meets_goal(line) else "no") if line.standing == "ranked" else wording.ABSENT,
    ]


def two_workers(results: Results) -> Iterator[str]:
    """What a second worker brings."""
    rows = _beside_main(results, "two-workers", workers=2)
    if rows:
        yield "## Two workers, nothing pinned"
        yield "The generator takes its processor time from the same cores here, so gains are smaller than on a larger machine."
        yield table(("model", "arm", "requests/s", f"ratio to {OWN}", "gain over one worker"), rows, left=2)


def own_headers(results: Results) -> Iterator[str]:
    """What it costs that each request has a header that no other has: whoever keeps heads that it has read saves nothing then."""
    rows = _beside_main(results, "own-header")
    if rows:
        yield "## A header of its own in each request"
        yield "One row, 64 connections, an `X-Request-Id` that was never sent before; wrk makes it, which takes its core some time too."
        yield table(("model", "arm", "requests/s", f"ratio to {OWN}", "of the rate without it"), rows, left=2)


def _beside_main(results: Results, kind: str, workers: int = 1) -> list[list[str]]:
    """Model, arm, rate, ratio, and how many times the arm's rate under the main load."""
    rows = []
    for model in summary.models(results):
        main = {line.arm: line for line in summary.lines(results, model)}
        for line in summary.lines(results, model, 64, kind, workers=workers):
            share = f"×{number(line.speed / main[line.arm].speed)}" if line.arm in main else wording.ABSENT
            rows.append([model, name(line), with_interval(line.rate), times(line.ratio), share])
    return rows
